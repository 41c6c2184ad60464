"""gradients: from the logs of all variants to the CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow import artefacts, gradients, params
from gradflow.writing import write_json


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("norms", type=click.Path(path_type=Path))
@click.argument("probes", type=click.Path(path_type=Path))
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
def main(logs: Path, norms: Path, probes: Path, history: Path, metrics: Path) -> None:
    """Read LOGS, write the tables NORMS, PROBES and HISTORY (CSV) and the METRICS (JSON)."""
    config = params.load()
    variants = list(config.variants)
    depths = {variant: config.of(variant).depth for variant in variants}
    norm_table = gradients.norms_by_epoch(artefacts.joined(logs, variants, ".parquet"), depths)
    probe_table = artefacts.joined(logs, variants, ".probe.parquet")
    history_table = artefacts.joined(logs, variants, ".history.parquet")
    for path, table in ((norms, norm_table), (probes, probe_table), (history, history_table)):
        artefacts.write_csv(path, table)

    numbers = {
        variant: gradients.summary(
            norm_table[norm_table["variant"] == variant],
            probe_table[probe_table["variant"] == variant],
            history_table[history_table["variant"] == variant],
            facts=artefacts.read_json(logs / f"{variant}.json"),
            below=config.analysis.vanished_below,
        )
        for variant in variants
    }
    write_json(metrics, numbers)


if __name__ == "__main__":
    main()
