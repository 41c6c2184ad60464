"""train: one variant of the study of convolutional networks, all its seeds together."""

from functools import partial
from pathlib import Path

import click
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from gradflow import checkpoints
from gradflow.digits.tensors import labelled
from gradflow.files import parquet
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.networks import convnet
from gradflow.params.digits import PIXELS
from gradflow.params.loading import load, of_stage
from gradflow.tables import logs
from gradflow.training import compiled, device, trainer, unfinished
from gradflow.training.optimisers import Descent
from studies.convnets.params import Params
from studies.convnets.task import Images, accuracy


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("written", metavar="LOGS", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path, written: Path) -> None:
    """Train VARIANT on the TRAIN images, validate it on others, and write its weights to MODELS, the rest to LOGS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    about, training, clip_norm = config.trained(variant), config.train, config.variants[variant].clip_norm
    where, threads = device.from_environment()
    network = stack(partial(build, about), seeds=config.seeds, init=training.init, seed=training.seed).to(where)
    images = [labelled(path, where) for path in (train, validation)]
    task = Images(*images, epochs=training.epochs, batch_size=training.batch_size, seed=training.seed)
    step = compiled.fastest(network, task, Descent("sgd", training.lr, training.momentum, clip_norm))
    costs = {"multiply_adds": convnet.multiply_adds(build(about), PIXELS), "refused": refused(about)}
    circumstances = device.circumstances(where, threads) | {"processor": device.processor(where)}
    with unfinished.kept(unfinished.fingerprint(about, circumstances, (train, validation))) as state:
        record = trainer.train(step, task, report=lambda _: None, unfinished=state)
        checkpoints.save(models / f"{variant}.safetensors", network, about)
        logs.write_facts(models / f"{variant}.json", record, about)
        logs.write_history(written / f"{variant}.history.parquet", record)
        logs.write_grad_norms(written / f"{variant}.gradients.parquet", record)
        lost = {seed: float(epoch) for seed, (epoch, _) in record.diverged.items()}
        seeds = pd.DataFrame({"seed": range(config.seeds), **costs})
        seeds["diverged"] = seeds["seed"].map(lost).astype(float)
        seeds["train_accuracy"] = accuracy(network, *images[0]).cpu().numpy()
        parquet.write(written / f"{variant}.seeds.parquet", pa.Table.from_pandas(seeds, preserve_index=False))


@torch.no_grad()
def refused(about: dict[str, object]) -> float:
    """The share of the blocks that change the number of channels in which PyTorch refuses to add stream and branch.

    Returns:
        nan where no block changes it.
    """
    made = build(about).eval()
    assert isinstance(made, convnet.Network)
    x, refusals = made.images(torch.zeros(1, PIXELS)), []
    for block in made.blocks:
        assert isinstance(block, convnet.Residual)
        branch = block.branch(x)
        if branch.shape[1] != x.shape[1]:
            refusals.append(refuses(x, branch))
        x = block(x)
    return sum(refusals) / len(refusals) if refusals else float("nan")


def refuses(x: Tensor, branch: Tensor) -> bool:
    """Whether PyTorch refuses to add the branch to the stream x, subsampled first where the branch halves the image."""
    stride = 1 if x.shape[-1] == branch.shape[-1] else 2
    try:
        x[..., ::stride, ::stride] + branch
    except RuntimeError:
        return True
    return False


if __name__ == "__main__":
    main()
