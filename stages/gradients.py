"""gradients: from the logs of all variants to the CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.analysis import gradients
from gradflow.files import documents
from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from gradflow.tables import artefacts, configuration
from gradflow.tables.logs import Facts


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("norms", type=click.Path(path_type=Path))
@click.argument("probes", type=click.Path(path_type=Path))
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
def main(logs: Path, norms: Path, probes: Path, history: Path, metrics: Path) -> None:
    """Read LOGS, write the tables NORMS, PROBES and HISTORY (CSV) and the METRICS (JSON)."""
    config = load(Recipe)
    variants = list(config.variants)
    facts = {variant: documents.read(logs / f"{variant}.json", Facts) for variant in variants}
    for variant in variants:
        configuration.check(logs / f"{variant}.json", facts[variant], configuration.of(config, variant))
    log, probe_table, history_table = (artefacts.joined(logs, *table) for table in gradients.log_tables(config).items())
    norm_table = gradients.norms_by_epoch(log)
    for path, table in ((norms, norm_table), (probes, probe_table), (history, history_table)):
        artefacts.write_csv(path, table)

    layers = gradients.by_layer(norm_table)
    numbers = {
        variant: gradients.summary(
            layers[layers["variant"] == variant],
            probe_table[probe_table["variant"] == variant],
            history_table[history_table["variant"] == variant],
            facts=facts[variant],
            analysis=config.analysis,
        )
        for variant in variants
    }
    write_json(metrics, numbers)


if __name__ == "__main__":
    main()
