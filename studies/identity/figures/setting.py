"""The experiment as its figures show it: from parameters and metrics."""

from collections.abc import Mapping
from typing import Any

from gradflow.drawing.experiment import Experiment
from studies.identity.params import Params


def experiment(config: Params, metrics: Mapping[str, Any]) -> Experiment:
    """What its figures share; an epoch is a step.

    Args:
        config: Its params.yaml.
        metrics: Its metrics.json.
    """
    train = config.train
    return Experiment(
        depths=dict.fromkeys(config.variants, config.depth),
        seeds=config.seeds,
        epochs=train.steps,
        diverged={
            name: {entry["seed"]: entry["step"] for entry in metrics[name]["diverged"]} for name in config.variants
        },
        caption=(
            f"Y = X for X from U(-1, 1): {config.depth} square blocks of width {config.width}, {config.seeds}"
            f" seed{'s' * (config.seeds != 1)}, {train.steps:,} steps of Adam (learning rate {train.lr:g}, batches of"
            f" {train.batch_size})."
        ),
        time="step",
    )
