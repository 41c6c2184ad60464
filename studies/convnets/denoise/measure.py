"""denoised: one U-Net: its gradients before training, for all seeds, and what it makes of a few digits after it."""

from functools import partial
from pathlib import Path

import click
import pandas as pd
import pyarrow as pa
import torch
from torch.linalg import vector_norm

from gradflow import checkpoints
from gradflow.digits.tensors import labelled
from gradflow.files import parquet
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.network import Network
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from studies.convnets.denoise.task import Denoising, bright
from studies.convnets.params import Params


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path, logs: Path) -> None:
    """Measure VARIANT of MODELS on VALIDATION digits, as bright as those of TRAIN, and write to LOGS.

    VARIANT may also be what DVC calls the stage: denoised@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.denoise.variants)
    training, measured = config.denoise.train, config.denoise.measure
    device.from_environment()  # for its threads
    about = config.denoise.trained(variant)
    images = bright(*(labelled(path)[0] for path in (train, validation)))
    noise = config.denoise.variants[variant].noise
    task = Denoising(*images, noise=noise, steps=1, batch_size=1, every=1, seed=training.seed)
    starts = [
        _gradients(
            stack(partial(build, about), seeds=config.denoise.seeds, init=init, seed=training.seed), task
        ).assign(start=init)
        for init in measured.starts
    ]
    shown = _shown(checkpoints.load(models / f"{variant}.safetensors", trained=about), task, measured.shown)
    for name, table in (("starts", pd.concat(starts)), ("images", shown)):
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(table, preserve_index=False))


def _gradients(network: Network, task: Denoising) -> pd.DataFrame:
    """A row a seed and convolution: seed; layer; name; grad_norm, ||dLoss/dW||_F on all noisy validation digits."""
    seeds = len(next(network.parameters()))
    maps = network.linear_maps()
    loss = task.losses(network(task.noisy.expand(seeds, -1, -1)), task.clean).sum()
    gradients = torch.autograd.grad(loss, [each.weight for each in maps])
    return pd.DataFrame(
        [
            {"seed": seed, "layer": each.layer, "name": each.name, "grad_norm": norm}
            for each, gradient in zip(maps, gradients, strict=True)
            for seed, norm in enumerate(vector_norm(gradient.flatten(1).double(), dim=1).tolist())
        ]
    )


@torch.no_grad()
def _shown(network: Network, task: Denoising, count: int) -> pd.DataFrame:
    """A row a pixel of the first digits: image, pixel; and as they are clean, noisy and denoised."""
    clean, noisy = task.clean[:count], task.noisy[:count]
    image, pixel = torch.ones_like(clean).nonzero(as_tuple=True)
    parts = {"clean": clean, "noisy": noisy, "denoised": network(noisy)}
    return pd.DataFrame({"image": image, "pixel": pixel} | {name: part.flatten() for name, part in parts.items()})


if __name__ == "__main__":
    main()
