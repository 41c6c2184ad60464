"""track: log the result of the study of convolutional networks in MLflow, once."""

from functools import partial
from pathlib import Path

import click
import torch

from gradflow.digits import dataset
from gradflow.params.loading import load
from gradflow.tracking import images, stage, study
from gradflow.tracking.study import Trained
from studies.convnets.denoise.task import Denoising, bright
from studies.convnets.params import Params

_STUDY = "convnets"


@click.command()
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("denoise_models", type=click.Path(path_type=Path))
@click.argument("denoise_logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("tracked", type=click.Path(path_type=Path))
def main(
    train: Path,
    validation: Path,
    models: Path,
    logs: Path,
    denoise_models: Path,
    denoise_logs: Path,
    reports: Path,
    tracked: Path,
) -> None:
    """Log the result in the folders, unless it is logged; then write TRACKED.

    VALIDATION digits, with noise for U-Nets, are examples of what networks read; TRAIN ones say how bright they are.
    """
    config = load(Params)
    denoise, digits = config.denoise, [torch.tensor(dataset.read(path)[0]) for path in (train, validation)]
    convnets = [
        Trained(
            name=name,
            about=config.trained(name),
            seeds=config.seeds,
            checkpoint=models / f"{name}.safetensors",
            history=logs / f"{name}.history.parquet",
            last=config.train.epochs,
            model=partial(images.model, digits[1].numpy()),
        )
        for name in config.variants
    ]
    how = denoise.train.model_dump(include={"steps", "batch_size", "every", "seed"})
    unets = [
        Trained(
            name=name,
            about=denoise.trained(name),
            seeds=denoise.seeds,
            checkpoint=denoise_models / f"{name}.safetensors",
            history=denoise_logs / f"{name}.history.parquet",
            last=denoise.train.steps,
            model=partial(images.model, Denoising(*bright(*digits), noise=chosen.noise, **how).noisy.numpy()),
            judged="psnr",
            best="highest",
        )
        for name, chosen in denoise.variants.items()
    ]
    stage.log(study.read(_STUDY, convnets + unets, reports), study.experiment(_STUDY), tracked)


if __name__ == "__main__":
    main()
