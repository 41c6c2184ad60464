"""Tables and numbers of the perceptrons, which stand beside those of the transformers."""

from pathlib import Path
from typing import Any

from gradflow.tables import artefacts
from studies.streams.twin import summary
from studies.streams.twin.params import Twin


def written(config: Twin, logs: Path, reports: Path) -> dict[str, Any]:
    """Write twin_history.csv and twin_layers.csv.

    Args:
        config: Parameters.
        logs: Folder of what the stages twin_train and twin_measure have written.
        reports: Folder of the tables.

    Returns:
        The numbers of each variant, under ``twin_VARIANT``.
    """
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, columns))
        for name, columns in summary.tables(config).items()
    }
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"twin_{name}.csv", table)
    return {
        f"twin_{variant}": summary.of_variant(
            config, **{name: table[table["variant"] == variant] for name, table in of_all.items()}
        )
        for variant in config.variants
    }
