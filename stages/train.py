"""train: one variant, all its seeds together."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from gradflow import boundary, checkpoints, live, theory
from gradflow.data import dataset
from gradflow.kit.block import Block
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.network import Network
from gradflow.networks.mlp import FEATURES
from gradflow.params.loading import load, of_stage
from gradflow.recipe import Recipe
from gradflow.tables import configuration, logs
from gradflow.training import compiled, device, trainer, unfinished
from gradflow.training.optimisers import Descent, Transfer
from gradflow.training.rows import Rows


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("measured", metavar="LOGS", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path, measured: Path) -> None:
    """Train VARIANT on the TRAIN rows; write its weights to MODELS and what was measured on the way to LOGS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = load(Recipe)
    variant = of_stage(variant, config.variants)
    own = configuration.own(config, variant)
    where, threads = device.from_environment()
    train_set, val_set = (_tensors(path, where) for path in (train, validation))
    config.check_batches(len(train_set[0]))

    task = Rows(
        train_set,
        val_set,
        epochs=own.train.epochs,
        batch_size=own.train.batch_size,
        seed=own.train.seed,
        orders=config.seeds if own.train.order == "own" else None,
        probe_rows=config.probe.samples,
        probe_every=config.probe.every,
    )
    base = own.train.transfer
    descent = Descent(
        own.train.optimizer,
        own.train.lr,
        own.train.momentum,
        own.train.clip_norm,
        warmup=round(own.train.warmup * task.epochs * task.steps),
        transfer=Transfer(own.depth / base.depth, config.width / base.width, base.exponent) if base else None,
        precision=own.train.precision,
        loss_scale=own.train.loss_scale,
    )
    about = configuration.of(config, variant)
    network = stack(partial(build, about), seeds=config.seeds, init=own.train.init, seed=own.train.seed).to(where)
    step = compiled.fastest(network, task, descent)
    if step.engine != "C" and compiled.can_train(network, task, descent):
        why = "no C compiler works here (cc, or what CC names), or what it makes cannot be kept"
        click.echo(f"{variant}: {why}: training takes longer", err=True)
    circumstances = device.circumstances(where, threads) | {"step": step.engine}
    work, here = about | {"probe": config.probe.model_dump()}, circumstances | {"processor": device.processor(where)}
    name = unfinished.fingerprint(work, here, [train, validation], step.made)
    with unfinished.kept(name) as state:
        with live.shown(variant, task.epochs, step) as report:
            record = trainer.train(step, task, report=report, unfinished=state)
        checkpoints.save(models / f"{variant}.safetensors", network, about)
        logs.write_grad_norms(measured / f"{variant}.parquet", record)
        logs.write_history(measured / f"{variant}.history.parquet", record)
        logs.write_probes(measured / f"{variant}.probe.parquet", record)
        seeds = [seed for seed in range(config.seeds) if seed not in record.diverged]
        seen = boundary.probabilities(network, dataset.around(val_set[0].cpu().numpy()), seeds)
        logs.write_boundary(measured / f"{variant}.boundary.parquet", seen, seeds)
        facts = about | circumstances | {"theory": _theory(network, about)}
        logs.write_facts(measured / f"{variant}.json", record, facts)


def _theory(network: Network, about: Mapping[str, Any]) -> list[float] | None:
    """What theory says of the gradients of weights at the start, see :class:`gradflow.tables.logs.Facts`."""
    block, depth, width = network.blocks[0], about["depth"], about["width"]
    assert isinstance(block, Block)
    init = about["train"]["init"]
    seen = block.theory(partial(theory.Branch.drawn, init, depth, width))
    stem = theory.variances(init, depth, FEATURES, width)
    line = theory.weight_gradients(seen, depth, width, stem, FEATURES) if seen and not about["widths"] else None
    return None if line is None else line.tolist()


def _tensors(path: Path, where: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    points, labels = dataset.read(path)
    return torch.from_numpy(points).float().to(where), torch.from_numpy(labels).to(where)


if __name__ == "__main__":
    main()
