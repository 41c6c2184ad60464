"""The distant-identity experiment: what was published beside what was measured here.

The published statistics are those after the last step, on a fresh batch: "gradient" is the norm of
dLoss/dz and "activation" the standard deviation of z, as a comparison of all definitions shows.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradflow.report.words import number, over_seeds


@dataclass(frozen=True)
class Published:
    """One number or range of the published table, and where it is in metrics.json.

    Attributes:
        what: The statistic in words; ``{last}`` is the last layer.
        said: Published value for each variant, as text.
        metric: Key in metrics.json.
        layer: ``first`` or ``last`` of a list by layer, ``all`` for its range; None for a single number.
    """

    what: str
    said: dict[str, str]
    metric: str
    layer: str | None = None


_PUBLISHED = (
    Published("loss at the start", {"plain": "0.333", "residual": "13.826"}, "loss_start"),
    Published("loss at the end", {"plain": "0.333", "residual": "0.063"}, "loss_end"),
    Published(
        "gradient ‖δ‖, layer {last}", {"plain": "about 1e-3", "residual": "about 1e-3"}, "delta_norm_end", "last"
    ),
    Published("gradient ‖δ‖, layer 1", {"plain": "8.6e-19", "residual": "about 1e-3"}, "delta_norm_end", "first"),
    Published("activation std(z), all layers", {"residual": "0.13 to 0.18"}, "z_std_end", "all"),
)

# Definitions of "gradient" and "activation", by key of metrics.json
DEFINITIONS = {
    "delta_norm_start": "‖δ‖ = ‖∂loss/∂z‖ at the start",
    "delta_norm_end": "‖δ‖ = ‖∂loss/∂z‖ at the end",
    "weight_grad_norm_start": "‖∂loss/∂W‖ at the start",
    "weight_grad_norm_end": "‖∂loss/∂W‖ at the end",
    "z_std_end": "std(z) of the pre-activations at the end",
    "x_std_end": "std(x) of the stream at the end",
}


@dataclass(frozen=True)
class Compared:
    """A row of the table: what was published and what was measured, for one variant."""

    what: str
    variant: str
    published: str
    measured: str


def compared(metrics: Mapping[str, Any], depth: int) -> list[Compared]:
    """The published table beside ours, for the variants that it has and the study trained.

    Args:
        metrics: studies/identity/reports/metrics.json; what its probe did not record is left out.
        depth: Number of blocks.
    """
    return [
        Compared(entry.what.format(last=depth), variant, said, _measured(metrics[variant], entry))
        for variant in metrics
        for entry in _PUBLISHED
        if (said := entry.said.get(variant)) and entry.metric in metrics[variant]
    ]


def definitions(metrics: Mapping[str, Any]) -> dict[str, list[tuple[str, str, str]]]:
    """Variant to (definition, at layer 1, at the last layer): means over seeds."""
    return {
        variant: [
            (said, number(by_layer[0]["mean"]), number(by_layer[-1]["mean"]))
            for key, said in DEFINITIONS.items()
            if (by_layer := measured.get(key))
        ]
        for variant, measured in metrics.items()
    }


def widest(metrics: Mapping[str, Any]) -> str:
    """How far apart the definitions of the gradient are at layer 1 of the network where that is most, in a sentence.

    Empty if no norm was recorded or all are 0.
    """
    found = []
    for variant, measured in metrics.items():
        norms = {
            key: mean
            for key in DEFINITIONS
            if "norm" in key and key in measured and (mean := measured[key][0]["mean"]) is not None
        }
        if any(norms.values()):
            high, low = (pick(norms, key=norms.__getitem__) for pick in (max, min))
            ratio = norms[high] / norms[low] if norms[low] else math.inf
            found.append(
                (
                    ratio,
                    variant,
                    f"{number(norms[low])} ({DEFINITIONS[low]})",
                    f"{number(norms[high])} ({DEFINITIONS[high]})",
                )
            )
    if not found:
        return ""
    _, variant, low, high = max(found, key=operator.itemgetter(0))
    return f"At layer 1 of {variant} the means are between {low} and {high}."


def _measured(measured: Mapping[str, Any], entry: Published) -> str:
    value = measured[entry.metric]
    match entry.layer:
        case None:
            return over_seeds(value)
        case "all":
            return _range(value)
        case place:
            return over_seeds(value[0 if place == "first" else -1])


def _range(by_layer: Sequence[Mapping[str, Any]]) -> str:
    """Smallest to largest of the means over seeds of all layers."""
    means = [entry["mean"] for entry in by_layer if entry["mean"] is not None]
    return f"{number(min(means, default=None))} to {number(max(means, default=None))}"
