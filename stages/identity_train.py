"""identity_train: one variant of the identity study, all its seeds together."""

import sys
from functools import partial
from pathlib import Path

import click
from tqdm import tqdm

from gradflow import device, identity, params, parquet, studies, unfinished
from gradflow.errors import InputError
from gradflow.initialisation import stack
from gradflow.network import Trunk


@click.command()
@click.argument("variant")
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, logs: Path) -> None:
    """Train VARIANT to give back its input; write its losses and what was measured on the way to LOGS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = params.load(model=studies.Identity)
    variant = variant.rpartition("@")[2]
    if variant not in config.variants:
        known = ", ".join(config.variants)
        raise InputError("params.yaml: variants", f"must have an entry {variant!r}, got {known}")
    chosen = config.variants[variant]
    where, threads = device.from_environment()
    network = stack(
        partial(Trunk, chosen.block, chosen.settings(), config.depth, config.width),
        seeds=config.seeds,
        init=chosen.init,
        seed=config.train.seed,
    ).to(where)
    work = config.model_dump(include={"depth", "width", "seeds", "train", "probe"}) | chosen.model_dump()
    work |= device.circumstances(where, threads) | {"processor": device.processor(where)}
    with (
        unfinished.kept(unfinished.fingerprint(work, [])) as state,
        tqdm(total=config.train.steps, desc=variant, unit="step", disable=not sys.stderr.isatty()) as bar,
    ):
        record = identity.train(
            network,
            config.train,
            width=config.width,
            probe_at=config.probe.steps,
            instruments=config.probe.instruments,
            report=lambda step: bar.update(step - bar.n),  # the first one may go on from where another process was
            unfinished=state,
        )
        paths = (logs / f"{variant}.{kind}.parquet" for kind in ("history", "probe"))
        for path, table in zip(paths, identity.tables(record, config.probe.instruments), strict=True):
            parquet.write(path, table)
    start, end = (float(record.losses[step].mean()) for step in (0, -1))
    print(f"{variant}: loss {start:.4g} at the start, {end:.4g} after {config.train.steps} steps")


if __name__ == "__main__":
    main()
