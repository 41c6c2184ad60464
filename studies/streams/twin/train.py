"""train: one of the perceptrons, all its seeds together."""

from functools import partial
from pathlib import Path

import click

from gradflow import checkpoints
from gradflow.digits.tensors import labelled
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load, of_stage
from gradflow.tables import logs
from gradflow.training import compiled, device, trainer, unfinished
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from studies.streams.params import Params
from studies.streams.twin.params import Twin


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("written", metavar="LOGS", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path, written: Path) -> None:
    """Train VARIANT on the TRAIN rows, validate it on others; write its weights to MODELS, its losses to LOGS.

    VARIANT may also be what DVC calls the stage: twin_train@VARIANT.
    """
    config = load(Params).twin
    trained(config, of_stage(variant, config.variants), (train, validation), models, written)


def trained(config: Twin, variant: str, rows: tuple[Path, Path], models: Path, written: Path) -> None:
    """Train a network from its start, or from where an earlier process was killed.

    Args:
        config: Parameters.
        variant: Its name.
        rows: Files of the rows to train on, and of those to validate on.
        models: Folder of the weights, and of a JSON file with which seeds diverged.
        written: Folder of the losses.
    """
    where, threads = device.from_environment()
    descending = config.train
    task = Rows(
        *(labelled(path, where) for path in rows),
        epochs=descending.epochs,
        batch_size=descending.batch_size,
        seed=descending.seed,
        probe_rows=1,
        probe_every=descending.epochs,
    )
    described, about = config.described(variant), config.trained(variant)
    network = stack(partial(build, described), seeds=config.seeds, init=config.init, seed=descending.seed).to(where)
    step = compiled.fastest(network, task, Descent("sgd", descending.lr, descending.momentum, descending.clip_norm))
    circumstances = device.circumstances(where, threads) | {"processor": device.processor(where)}
    with unfinished.kept(unfinished.fingerprint(about, circumstances, rows)) as state:
        record = trainer.train(step, task, report=lambda _: None, unfinished=state)
        checkpoints.save(models / f"{variant}.safetensors", network, about)
        logs.write_facts(models / f"{variant}.json", record, about)
        logs.write_history(written / f"{variant}.history.parquet", record)


if __name__ == "__main__":
    main()
