"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path
from typing import Any

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.memory import summary
from studies.memory.params import Params


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
def main(logs: Path, reports: Path) -> None:
    """Read LOGS, write tables (CSV) and metrics.json to REPORTS."""
    config = load(Params)
    columns = summary.tables(config)
    names = {name: [*config.variants, *(config.sketched if name == "seeds" else ())] for name in columns}
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(names[name], own))
        for name, own in columns.items()
    }
    of_all["saved"] = artefacts.read_table(logs / "saved.parquet", summary.saved_columns())
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    own = {name: dict(list(of_all[name].groupby("variant"))) for name in columns}
    numbers: dict[str, Any] = {}
    for variant in config.variants:
        numbers[variant] = summary.of_training(own["seeds"][variant])
        numbers[variant] |= summary.of_errors(*(own[name][variant] for name in ("sketches", "exact", "rules")))
        numbers[variant] |= {"seeds": config.seeds}
    for variant, chosen in config.sketched.items():
        twin = next((name for name, other in config.variants.items() if chosen.is_of(other)), None)
        numbers[variant] = summary.of_training(own["seeds"][variant], own["seeds"][twin] if twin else None)
        numbers[variant] |= {"seeds": config.seeds}
    write_json(reports / "metrics.json", numbers | {"saved": summary.of_saved(of_all["saved"])})


if __name__ == "__main__":
    main()
