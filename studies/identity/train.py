"""train: one variant of the identity study, all its seeds together."""

import sys
from functools import partial
from pathlib import Path

import click
from tqdm import tqdm

from gradflow.files import parquet
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load, of_stage
from gradflow.tables.logs import write_grad_norms
from gradflow.training import compiled, device, trainer, unfinished
from gradflow.training.optimisers import Descent
from studies.identity.params import Params
from studies.identity.task import Identity, tables


@click.command()
@click.argument("variant")
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, logs: Path) -> None:
    """Train VARIANT to give back its input; write its losses and what was measured on the way to LOGS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen = config.variants[variant]
    where, threads = device.from_environment()
    train = config.train
    task = Identity(
        width=config.width,
        steps=train.steps,
        batch_size=train.batch_size,
        seed=train.seed,
        probe_at=config.probe.steps,
        instruments=config.probe.instruments,
        where=where,
    )
    described = {"network": "trunk", "block": chosen.block, "settings": chosen.settings(), "widths": None}
    make = partial(build, described | {"depth": config.depth, "width": config.width})
    network = stack(make, seeds=config.seeds, init=chosen.init, seed=train.seed).to(where)
    work = config.model_dump(include={"depth", "width", "seeds", "train", "probe"}) | chosen.model_dump()
    here = device.circumstances(where, threads) | {"processor": device.processor(where)}
    with (
        unfinished.kept(unfinished.fingerprint(work, here)) as state,
        tqdm(total=train.steps, desc=variant, unit="step", disable=not sys.stderr.isatty()) as bar,
    ):
        step = compiled.fastest(network, task, Descent(train.optimizer, train.lr))
        # The bar may start where another process was.
        record = trainer.train(step, task, report=lambda epoch: bar.update(epoch.number - bar.n), unfinished=state)
        last = task.at_the_end(network)
        history, probe = tables(record, last, task.columns)
        write_grad_norms(logs / f"{variant}.parquet", record)
        parquet.write(logs / f"{variant}.history.parquet", history)
        parquet.write(logs / f"{variant}.probe.parquet", probe)
    start, end = (float(losses.mean()) for losses in (record.history[0, :, 0], last))
    print(f"{variant}: loss {start:.4g} at the start, {end:.4g} after {train.steps} steps")


if __name__ == "__main__":
    main()
