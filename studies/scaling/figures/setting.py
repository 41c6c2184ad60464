"""The study as its figures show it: families of variants that differ in depth alone, and a caption."""

import pandas as pd

from gradflow.drawing.experiment import Experiment
from studies.scaling import summary
from studies.scaling.params import Params

_POWERS = {0.0: "1", 0.5: "1/√m", 1.0: "1/m"}


def experiment(config: Params) -> Experiment:
    """What its figures share; its variants are the families."""
    names, teacher, train = summary.families(config), config.teacher, config.train
    depths = sorted({point.depth for point in config.variants.values()})
    blocks = " to ".join(str(depth) for depth in (depths[0], depths[-1])[: len(depths)])
    return Experiment(
        depths=dict.fromkeys(names, 0),
        seeds=config.seeds,
        epochs=train.steps,
        diverged={name: {} for name in names},
        caption=(
            f"Networks of {blocks} blocks of width {config.width} learn the function of"
            f" {teacher.hidden} tanh unit{'s' * (teacher.hidden != 1)}, where predicting 0 costs 1: {config.seeds}"
            f" seed{'s' * (config.seeds != 1)}, {train.steps} steps of AdamW on fresh batches of {train.batch_size}."
            f" m = depth / {config.base_depth}. {'; '.join(f'{name}: {in_words(config, name)}' for name in names)}."
        ),
        time="step",
    )


def in_words(config: Params, family: str) -> str:
    """What becomes of branch and learning rate with the depth in a family."""
    point = config.variants[next(iter(summary.families(config)[family]))]
    exponent = point.settings()["exponent"]
    branch, rate = (_POWERS.get(each, f"1/m^{each:g}") for each in (exponent, 1 - exponent if point.transfer else 0.0))
    return f"branch times {branch}, rate times {rate}"


def lost(rates: pd.DataFrame) -> str:
    """How many trainings have no number because they diverged, in words."""
    count = int(rates["loss"].isna().sum())
    return f" {count} of {len(rates)} trainings diverged and have no point." if count else ""
