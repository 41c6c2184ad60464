"""plot: from the tables of the study of shares to its figures, as PNG and SVG."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.moons.setting import experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.shares import summary
from studies.shares.figures import growth, trained
from studies.shares.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS into the folder FIGURES."""
    config = load(Params)
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, config.variants))
        for name, columns in summary.tables(config).items()
    }
    ways = of_training(config)
    exponents = {name: chosen.settings().get("exponent", 0.0) for name, chosen in config.variants.items()}
    runs = found["runs"]
    runs = runs.assign(variant=runs["variant"].map(ways), exponent=runs["variant"].map(exponents))
    drawn = trained.draw(runs, sorted(set(exponents.values())), of_ways(config, found["seeds"], ways, exponents))
    style.save(drawn, figures / "trained", _DPI)
    before = read_table(reports / "growth.csv", summary.GROWTH)
    style.save(growth.draw(before, of_growth(config)), figures / "growth", _DPI)


def of_training(config: Params) -> dict[str, str]:
    """How each variant was trained, in words, but for its exponent: the share, and what else differs from the first."""
    first = next(iter(config.variants.values())).model_dump()
    found = {}
    for name, chosen in config.variants.items():
        said = [f"share {chosen.share:g}"] + [f"{chosen.keeps} kept"] * (chosen.keeps != "nothing")
        for key, value in chosen.model_dump(exclude={"exponent", "share", "keeps"}).items():
            if value != first.get(key):
                said.append(value if isinstance(value, str) else f"{key} {value}")
        found[name] = ", ".join(said)
    return found


def of_ways(config: Params, seeds: pd.DataFrame, ways: Mapping[str, str], exponents: Mapping[str, float]) -> Experiment:
    """The setting of the figure on trained networks, whose variants are ways to train, each with some exponents."""
    more = "All is measured on validation rows, where each branch again sees a share of the rows by chance."
    shared = experiment(config, seeds, config.variants, more)
    diverged: dict[str, dict[int, int]] = {way: {} for way in ways.values()}
    at: dict[str, dict[float | str, int]] = {way: {} for way in ways.values()}
    for name, lost in shared.diverged.items():
        if lost:
            diverged[ways[name]] |= lost
            at[ways[name]][f"exponent {exponents[name]:g}"] = len(lost)
    return replace(shared, depths=dict.fromkeys(diverged, config.depth), diverged=diverged, diverged_at=at)


def of_growth(config: Params) -> Experiment:
    """The setting of the figure on growth, whose variants are kinds of routing."""
    chosen = config.growth
    return Experiment(
        depths=dict.fromkeys(summary.GROWTH["kind"].words or (), max(chosen.depths)),
        seeds=chosen.seeds,
        epochs=1,
        diverged={kind: {} for kind in summary.GROWTH["kind"].words or ()},
        caption=(
            f"Blocks x + m w c W2 relu(W1 x) of width {chosen.width} before training, Xavier's weights,"
            f" c = {chosen.scale:.3g} / depth^exponent, on {chosen.rows} normal rows, {chosen.seeds}"
            f" seed{'s' * (chosen.seeds != 1)}. m is 1 for a share of the rows, drawn anew at each block; w is 1, with"
            " the mean kept 1 / share, with the power kept 1 / sqrt(share), with experts by softmax their probability."
        ),
    )


if __name__ == "__main__":
    main()
