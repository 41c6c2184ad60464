"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.convnets import summary
from studies.convnets.denoise import summary as of_denoise
from studies.convnets.params import Params


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
    gradients = of_all["gradients"]
    of_all["gradients"] = gradients[gradients["step"] == 1]  # before training
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    numbers = {
        variant: summary.of_variant(
            **{name: table[table["variant"] == variant] for name, table in of_all.items()},
            blocks=config.blocks(variant),
        )
        for variant in config.variants
    }
    denoise = {
        name: artefacts.joined(logs / "denoise", f".{name}.parquet", dict.fromkeys(config.denoise.variants, own))
        for name, own in of_denoise.tables(config.denoise).items()
    }
    for name, table in denoise.items():
        artefacts.write_csv(reports / f"denoise_{name}.csv", table)
    denoised = of_denoise.of_variants(config.denoise, denoise["history"], denoise["starts"])
    write_json(reports / "metrics.json", numbers | denoised)


if __name__ == "__main__":
    main()
