"""What the figures of a study on two moons have in common."""

from collections.abc import Iterable

import pandas as pd

from gradflow.drawing.experiment import Experiment
from gradflow.params.moons import Study


def experiment(config: Study, seeds: pd.DataFrame, names: Iterable[str], more: str, rows: str = "") -> Experiment:
    """Which seeds were lost, and the setting in words.

    Args:
        config: Parameters.
        seeds: Columns variant, seed, diverged (the epoch, nan where a seed did not) and others.
        names: What the figures show: variants, and networks that were never trained.
        more: A last sentence of the caption.
        rows: What was trained on, where that is more than two moons.
    """
    lost = seeds.dropna(subset="diverged")
    train, moons = config.train, config.moons
    clipped = "unclipped" if train.clip_norm is None else f"clipped at norm {train.clip_norm:g}"
    rows = rows or f"{moons.samples} rows of two moons, noise {moons.noise:g}, {moons.validation:.0%} for validation"
    return Experiment(
        depths=dict.fromkeys(names, config.depth),
        seeds=config.seeds,
        epochs=train.epochs,
        diverged={
            name: {int(seed): int(epoch) for seed, epoch in own[["seed", "diverged"]].to_numpy()}
            for name in names
            for own in [lost[lost["variant"] == name]]
        },
        caption=(
            f"Networks of {config.depth} blocks of width {config.width} on {rows}: {config.seeds}"
            f" seed{'s' * (config.seeds != 1)}, {train.epochs} epochs of SGD, learning rate {train.lr:g}, momentum"
            f" {train.momentum:g}, batches of {train.batch_size}, {clipped}. {more}"
        ),
    )
