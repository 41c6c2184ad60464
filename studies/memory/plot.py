"""plot: from the tables of the memory study to its figures, as PNG and SVG."""

from pathlib import Path

import click
import pandas as pd

from gradflow.drawing import style
from gradflow.moons.setting import experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.memory import summary
from studies.memory.figures import rules, saved, sketches
from studies.memory.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS into the folder FIGURES."""
    config = load(Params)
    every = [*config.variants, *config.sketched]
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, every if name == "seeds" else config.variants))
        for name, columns in summary.tables(config).items()
    }
    bytes_of = read_table(reports / "saved.csv", summary.saved_columns())
    more = f"Errors and cosines: on the first {config.train.batch_size} train rows, {config.errors.draws} sketches."
    shared = experiment(config, found["seeds"], config.variants, more)
    kinds = pd.DataFrame([_kind(config, name) for name in every])
    drawn = {
        "sketches": sketches.draw(found["seeds"].merge(kinds, on="variant"), _means(found["sketches"]), shared),
        "saved": saved.draw(bytes_of, config.saved.variant, config.train.batch_size, config.width),
        "rules": rules.draw(found["rules"], shared),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


def _kind(config: Params, name: str) -> dict[str, object]:
    """What a variant is shown as.

    Returns:
        variant; of, the variant with exact gradients that it is but for its sketches; buckets, as many as rows for the
        exact one; and kind, in words.
    """
    if name in config.variants:
        return {"variant": name, "of": name, "buckets": config.train.batch_size, "kind": "balanced"}
    chosen = config.sketched[name]
    of = next((other for other, exact in config.variants.items() if chosen.is_of(exact)), "")
    kind = "with scalars" if chosen.scalars else "balanced" if chosen.balanced else "anywhere"
    return {"variant": name, "of": of, "buckets": chosen.buckets, "kind": kind}


def _means(sketches: pd.DataFrame) -> pd.DataFrame:
    """:func:`studies.memory.summary.of_seeds` of each variant, without scalars."""
    groups = sketches[sketches["scalars"] == 0].groupby("variant", sort=False)
    return pd.concat({name: summary.of_seeds(own) for name, own in groups}, names=["variant"]).reset_index(level=0)


if __name__ == "__main__":
    main()
