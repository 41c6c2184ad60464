"""train: one variant of the mixing study, all its seeds together."""

from pathlib import Path

import click

from gradflow.moons import training
from gradflow.params.loading import load, of_stage
from studies.mixing.params import Params


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
    about = training.described(chosen, config.depth, config.width)
    about |= {"mixing": chosen.mixing.chosen() if chosen.mixing else None}
    training.train(about, config.train, config.seeds, (train, validation), models / f"{variant}.safetensors")


if __name__ == "__main__":
    main()
