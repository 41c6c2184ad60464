"""The run in numbers, and in sentences that say only what those numbers do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradflow.figures.experiment import Experiment
from gradflow.report.words import count, number, over_seeds


@dataclass(frozen=True)
class Headline:
    """One variant at the end of the training.

    Attributes:
        variant: Its name.
        numbers: What was measured, and its value, as text.
        sentence: The same, to be read.
    """

    variant: str
    numbers: dict[str, str]
    sentence: str


def headlines(metrics: Mapping[str, Any], experiment: Experiment, below: float) -> list[Headline]:
    """A headline for each variant.

    Args:
        metrics: reports/metrics.json.
        experiment: Names the variants and tells which seeds diverged.
        below: analysis.vanished_below.
    """
    return [_of(variant, metrics[variant], experiment, below) for variant in experiment.diverged]


def _of(variant: str, measured: Mapping[str, Any], experiment: Experiment, below: float) -> Headline:
    lost = experiment.diverged[variant]
    depth = experiment.depth
    ratio, vanished, accuracy = (
        measured["grad_first_over_last"],
        measured["vanished_layers"],
        measured["val_accuracy"],
    )
    numbers = {
        "validation accuracy": over_seeds(accuracy),
        f"gradient norm, block 1 over block {depth}": number(ratio),
        f"blocks below {number(below)}": "–" if vanished is None else f"{number(vanished)} of {depth}",
        "diverged": f"{len(lost)} of {experiment.seeds}",
    }
    if accuracy["mean"] is None:
        return Headline(variant, numbers, f"No seed finished the training: {experiment.lost(variant)}.")
    sentences = [f"Accuracy {number(accuracy['mean'])} on rows never trained on, {_mean(experiment, len(lost))}."]
    if ratio is not None:
        sentences.append(_ratio(ratio, depth))
    if vanished is not None:
        sentences.append(
            f"There, {number(vanished)} of {count(depth, 'block')} {_have(vanished)} a norm below {number(below)}."
            if vanished
            else f"No block has a norm below {number(below)} there."
        )
    if lost:
        sentences.append(f"Of the seeds, {experiment.lost(variant)}; they are left out here.")
    return Headline(variant, numbers, " ".join(sentences))


def _mean(experiment: Experiment, lost: int) -> str:
    left = experiment.seeds - lost
    return "of the one seed" if left == 1 else f"the mean of {left} seeds"


def _ratio(ratio: float, depth: int) -> str:
    """The ratio as a comparison, the larger first."""
    where = "In the last epoch the gradient norm of block 1 is"
    if ratio == 0:
        return f"{where} 0."
    if ratio < 1:
        return f"{where} {number(ratio)} times that of block {depth}, that is 1/{1 / ratio:,.3g} of it."
    return f"{where} {number(ratio)} times that of block {depth}."


def _have(vanished: float) -> str:
    return "has" if vanished == 1 else "have"
