"""denoise: one U-Net of the section denoise, all its seeds together."""

from functools import partial
from pathlib import Path

import click
import pandas as pd
import pyarrow as pa

from gradflow import checkpoints
from gradflow.digits.tensors import labelled
from gradflow.files import parquet
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load, of_stage
from gradflow.training import compiled, device, trainer, unfinished
from gradflow.training.optimisers import Descent
from gradflow.training.record import Record
from studies.convnets.denoise.task import Denoising, bright, psnr
from studies.convnets.params import Params


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("written", metavar="LOGS", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path, written: Path) -> None:
    """Train VARIANT on the TRAIN digits, look at VALIDATION ones, and write its weights to MODELS, its PSNR to LOGS.

    VARIANT may also be what DVC calls the stage: denoise@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.denoise.variants)
    chosen, training, seeds = config.denoise.variants[variant], config.denoise.train, config.denoise.seeds
    where, threads = device.from_environment()
    about = config.denoise.trained(variant)
    network = stack(partial(build, about), seeds=seeds, init=training.init, seed=training.seed).to(where)
    images = bright(*(labelled(path, where)[0] for path in (train, validation)))
    task = Denoising(
        *images,
        noise=chosen.noise,
        steps=training.steps,
        batch_size=training.batch_size,
        every=training.every,
        seed=training.seed,
    )
    step = compiled.fastest(network, task, Descent("adam", training.lr))
    circumstances = device.circumstances(where, threads) | {"processor": device.processor(where)}
    with unfinished.kept(unfinished.fingerprint(about, circumstances, (train, validation))) as state:
        record = trainer.train(step, task, report=lambda _: None, unfinished=state)
        checkpoints.save(models / f"{variant}.safetensors", network, about)
        history = _history(record).assign(noisy=psnr((task.noisy - task.clean).square().mean().double()).item())
        path = written / f"{variant}.history.parquet"
        parquet.write(path, pa.Table.from_pandas(history, preserve_index=False))


def _history(record: Record) -> pd.DataFrame:
    """A row a seed and epoch, as long as the seed has not diverged: seed, step, and psnr on validation digits in dB."""
    found = psnr(record.history[:, :, 1]).cpu()
    epoch, seed = found.isfinite().nonzero(as_tuple=True)
    steps = (epoch + 1) * record.steps_per_epoch
    return pd.DataFrame({"seed": seed, "step": steps, "psnr": found[epoch, seed]}).sort_values(["seed", "step"])


if __name__ == "__main__":
    main()
