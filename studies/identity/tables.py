"""tables: from the logs of all variants of the identity study to its CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.identity.params import Params
from studies.identity.summary import summary, tables


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("probe", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
def main(logs: Path, history: Path, probe: Path, metrics: Path) -> None:
    """Read LOGS, write the tables HISTORY and PROBE (CSV) and the METRICS (JSON)."""
    config = load(Params)
    losses, probes = (
        artefacts.joined(logs, ending, dict.fromkeys(config.variants, columns))
        for ending, columns in zip((".history.parquet", ".probe.parquet"), tables(config), strict=True)
    )
    artefacts.write_csv(history, losses)
    artefacts.write_csv(probe, probes)
    numbers = {
        variant: summary(
            losses[losses["variant"] == variant],
            probes[probes["variant"] == variant],
            depth=config.depth,
            seeds=config.seeds,
            steps=config.train.steps,
        )
        for variant in config.variants
    }
    write_json(metrics, numbers)


if __name__ == "__main__":
    main()
