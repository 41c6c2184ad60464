"""train: one variant of the study of shares, all its seeds together."""

from functools import partial
from pathlib import Path

import click

from gradflow.moons import training
from gradflow.moons.stochastic import StochasticDepth
from gradflow.params.loading import load, of_stage
from gradflow.training import compiled
from studies.shares.params import Params


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path) -> None:
    """Train VARIANT on the TRAIN rows, validate it on others, and write its weights to MODELS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen = config.variants[variant]
    stepping: training.Stepping = compiled.fastest
    if chosen.share < 1:
        stepping = partial(
            StochasticDepth,
            survival=chosen.share,
            seed=config.train.seed,
            each_row=True,
            weight=chosen.weight,
        )
    about = training.described(chosen, config.depth, config.width)
    about |= chosen.trained()
    training.train(about, config.train, config.seeds, (train, validation), models / f"{variant}.safetensors", stepping)


if __name__ == "__main__":
    main()
