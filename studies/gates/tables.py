"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path
from typing import Any

import click

from gradflow.analysis.spread import over_seeds
from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.gates import summary
from studies.gates.params import Params


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
def main(logs: Path, reports: Path) -> None:
    """Read LOGS, write tables (CSV) and metrics.json to REPORTS."""
    config = load(Params)
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, own))
        for name, own in summary.tables(config).items()
    }
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    own = {
        variant: {name: table[table["variant"] == variant] for name, table in of_all.items()}
        for variant in config.variants
    }
    first, *_ = config.variants
    numbers: dict[str, Any] = {"nearest_row": summary.references(of_all["shifts"])}
    for variant, tables in own.items():
        numbers[variant] = summary.of_variant(tables["seeds"], tables["shifts"], tables["norms"])
        if variant != first:
            numbers[variant] |= summary.against(tables["shifts"], own[first]["shifts"])
        numbers[variant] |= {"seeds": config.seeds}
    for variant, chosen in config.variants.items():
        twin = next((n for n, c in config.variants.items() if c == chosen.model_copy(update={"rows": "all"})), None)
        if chosen.rows == "outside" and twin:
            gates = [own[name]["shifts"].query("shift == 'gap'").set_index("seed")["gate"] for name in (variant, twin)]
            numbers[variant]["gate_in_gap_change"] = over_seeds(gates[0] - gates[1])
    write_json(reports / "metrics.json", numbers)


if __name__ == "__main__":
    main()
