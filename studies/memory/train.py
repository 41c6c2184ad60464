"""train: one variant of the memory study with exact gradients, all its seeds together."""

from pathlib import Path

import click

from gradflow.moons import training
from gradflow.params.loading import load, of_stage
from studies.memory import accuracy
from studies.memory.params import Params


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path, logs: Path) -> None:
    """Train VARIANT on the TRAIN rows, write its weights to MODELS and its accuracy on VALIDATION rows to LOGS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    about = training.described(config.variants[variant], config.depth, config.width)
    written = models / f"{variant}.safetensors"
    training.train(about, config.train, config.seeds, (train, validation), written)
    trained = training.read(written, about, config.train, config.seeds)
    accuracy.write(logs / f"{variant}.seeds.parquet", *trained, training.labelled(validation))


if __name__ == "__main__":
    main()
