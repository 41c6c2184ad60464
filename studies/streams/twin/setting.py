"""What the figure of the perceptrons shows: their tables, and the setting in words."""

from pathlib import Path

import pandas as pd

from gradflow.drawing.experiment import Experiment
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.streams.twin import summary
from studies.streams.twin.params import Twin


def read(config: Twin, reports: Path) -> tuple[pd.DataFrame, Experiment]:
    """The rows of twin_layers.csv, and the setting, with the seeds that diverged as twin_history.csv has them.

    Raises:
        RunError: A table is missing or damaged, or holds something else.
    """
    history, layers = (
        read_table(reports / f"twin_{name}.csv", by_variant(columns, config.variants))
        for name, columns in summary.tables(config).items()
    )
    last = history.groupby(["variant", "seed"])["epoch"].max()
    epochs = {(name, seed): int(last.get((name, seed), 0)) for name in config.variants for seed in range(config.seeds)}
    train, held = config.train, config.digits.validation
    clipped = "unclipped" if train.clip_norm is None else f"clipped at norm {train.clip_norm:g}"
    experiment = Experiment(
        depths=dict.fromkeys(config.variants, config.depth),
        seeds=config.seeds,
        epochs=train.epochs,
        diverged={
            name: {seed: epochs[name, seed] + 1 for seed in range(config.seeds) if epochs[name, seed] < train.epochs}
            for name in config.variants
        },
        caption=(
            f"Perceptrons of {config.depth} blocks W2 relu(W1 norm(x)) of width {config.width} on scikit-learn's"
            f" digits, {held:.0%} for validation: {config.seeds} seed{'s' * (config.seeds != 1)}, {train.epochs} epochs"
            f" of SGD, learning rate {train.lr:g}, momentum {train.momentum:g}, batches of {train.batch_size},"
            f" {clipped}."
        ),
    )
    return layers, experiment
