"""The run in numbers, and in sentences made from these numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradflow.drawing.experiment import Experiment
from gradflow.report.words import count, exact, number, over_seeds


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
    depth = experiment.depths[variant]
    ratio, vanished, accuracy = (measured[key] for key in ("grad_first_over_last", "vanished_layers", "val_accuracy"))
    numbers = {
        "validation accuracy": over_seeds(accuracy),
        f"gradient norm, block 1 over block {depth}": number(ratio),
        f"blocks below {exact(below)}": "-" if vanished is None else f"{vanished:.3g} of {depth}",
        "diverged": f"{len(lost)} of {experiment.seeds}",
    }
    if accuracy["mean"] is None:
        return Headline(variant, numbers, f"No seed finished the training: {experiment.lost(variant)}.")
    left = experiment.seeds - len(lost)
    sentences = [f"Accuracy {number(accuracy['mean'])} on rows never trained on{_average(left)}."]
    if ratio is not None:
        sentences.append(_ratio(ratio, depth))
    if vanished is not None:
        sentences.append(
            f"There, {vanished:.3g} of {count(depth, 'block')} {_have(vanished)} a norm below"
            f" {exact(below)}{_average(left)}."
            if vanished
            else f"No block has a norm below {exact(below)} there."
        )
    if lost:
        sentences.append(f"Of the seeds, {experiment.lost(variant)}; they are left out here.")
    return Headline(variant, numbers, " ".join(sentences))


def _average(seeds: int) -> str:
    return "" if seeds == 1 else f", the mean of {seeds} seeds"


def _ratio(ratio: float, depth: int) -> str:
    where = "In the last epoch the gradient norm of block 1 is"
    return f"{where} {number(ratio)} times that of block {depth}." if ratio else f"{where} 0."


def _have(vanished: float) -> str:
    return "has" if vanished == 1 else "have"
