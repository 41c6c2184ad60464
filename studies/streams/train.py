"""train: one variant of the study of streams, all its seeds together."""

from functools import partial
from pathlib import Path

import click

from gradflow import checkpoints
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load, of_stage
from gradflow.tables import logs
from gradflow.training import compiled, device, trainer, unfinished
from gradflow.training.optimisers import Descent
from studies.streams.induction import Induction
from studies.streams.params import Params


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("written", metavar="LOGS", type=click.Path(path_type=Path))
def main(variant: str, models: Path, written: Path) -> None:
    """Train VARIANT, and write its weights to MODELS, its losses to LOGS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen, train = config.variants[variant], config.train
    where, threads = device.from_environment()
    about = config.trained(variant)
    network = stack(partial(build, about), seeds=config.seeds, init=chosen.init, seed=train.seed).to(where)
    task = Induction(
        config.sequences, steps=chosen.steps, batch_size=train.batch_size, every=train.every, seed=train.seed
    )
    step = compiled.fastest(network, task, Descent("adamw", chosen.lr, clip_norm=train.clip_norm, warmup=chosen.warmup))
    circumstances = device.circumstances(where, threads) | {"processor": device.processor(where)}
    with unfinished.kept(unfinished.fingerprint(about, circumstances)) as state:
        record = trainer.train(step, task, report=lambda _: None, unfinished=state)
        checkpoints.save(models / f"{variant}.safetensors", network, about)
        logs.write_facts(models / f"{variant}.json", record, about)
        logs.write_history(written / f"{variant}.history.parquet", record)
    accuracy = record.history[-1, :, 2].nanmean().item()
    print(f"{variant}: accuracy {accuracy:.3f} after {chosen.steps} steps")


if __name__ == "__main__":
    main()
