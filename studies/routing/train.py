"""train: one variant of the routing study, all its seeds together."""

from functools import partial
from pathlib import Path

import click

from gradflow.moons import training
from gradflow.moons.every_layer import EveryLayer
from gradflow.moons.stochastic import StochasticDepth
from gradflow.params.loading import load, of_stage
from gradflow.training import compiled
from studies.routing.params import Params


@click.command()
@click.argument("variant")
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
def main(variant: str, rows: Path, models: Path) -> None:
    """Train VARIANT on the rows of its task in the folder ROWS, and write its weights to MODELS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen = config.variants[variant]
    stepping: training.Stepping = compiled.fastest
    if chosen.losses == "every":
        stepping = EveryLayer
    elif chosen.survival < 1:
        stepping = partial(StochasticDepth, survival=chosen.survival, seed=config.train.seed)
    files = rows / f"{chosen.task}.train.parquet", rows / f"{chosen.task}.validation.parquet"
    about = training.described(chosen, config.depth, config.width)
    about |= {"survival": chosen.survival, "losses": chosen.losses}
    training.train(about, config.train, config.seeds, files, models / f"{variant}.safetensors", stepping)


if __name__ == "__main__":
    main()
