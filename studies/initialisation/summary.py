"""The numbers of one network of the initialisation study, from its tables."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradflow.analysis.spread import factor, over_seeds
from gradflow.files.documents import Document
from gradflow.tables.columns import FROM_0, SHARE, Column, Columns, by_variant, within
from studies.initialisation.params import Params

_MEASURED = Column(gaps=True)
_PREDICTED = ("power", "mean", "cosine", "stream_grad_norm", "delta_norm", "weight_grad_norm")
LAYERS = {
    "seed": FROM_0,
    "layer": FROM_0,
    **dict.fromkeys(("first_row_power", *_PREDICTED, "gradient_gain"), _MEASURED),
    **dict.fromkeys((f"{name}_theory" for name in _PREDICTED), _MEASURED),
}
LINE = {"seed": FROM_0, "lag": FROM_0, "distance": SHARE, "correlation": _MEASURED}


class Theory(Document):
    """What theory says that is no line: the variance over seeds of log(q_L / q_0); None where it says nothing."""

    log_variance: float | None


def tables(config: Params) -> tuple[Columns, Columns]:
    """The columns of what was measured by layer, and along a line."""
    layers, line = (by_variant(columns, config.variants) for columns in (LAYERS, LINE))
    return within(layers, seed=config.seeds - 1, layer=config.depth), within(line, seed=config.seeds - 1)


def summary(layers: pd.DataFrame, line: pd.DataFrame, log_variance: float | None) -> dict[str, Any]:
    """Numbers for metrics.json.

    Args:
        layers: From :func:`studies.initialisation.signals.layers`.
        line: From :func:`studies.initialisation.signals.along_a_line`.
        log_variance: Of log(q_L / q_0), as predicted; None: not predicted.

    Returns:
        Over seeds {mean, std, min, max, seeds} of ``power_ratio`` (q_L / q_0), ``weight_grad_first_over_last``
        (||dW_1|| / ||dW_L||), ``correlation_lag_1`` and, by layer from 1 on, ``cosine`` and ``gradient_gain``, whose
        smallest and largest number is ``gradient_gain_range``. Of the root mean squares over seeds: ``stream_factor``,
        ``gradient_factor`` and ``delta_factor``, fitted per block to the logarithm, the latter two towards the
        input; ``weight_grad_flatness``, the largest layer's over the smallest's. ``log_power_variance``: the variance
        over seeds of log(q_L / q_0) of the first input alone. Each of these may have a counterpart ``..._predicted``;
        None: no number.
    """
    depth = int(layers["layer"].max())
    table = layers.set_index(["seed", "layer"])
    power, weight = table["power"].unstack(), table["weight_grad_norm"].unstack()
    predicted = layers[layers["seed"] == layers["seed"].min()].set_index("layer")
    first = table["first_row_power"].unstack()
    ratio, ratio_theory = power[depth] / power[0], predicted["power_theory"]
    weight_theory = predicted["weight_grad_norm_theory"]
    gains = table["gradient_gain"]
    found: dict[str, Any] = {
        "power_ratio": over_seeds(ratio),
        "power_ratio_predicted": _number(ratio_theory[depth] / ratio_theory[0]),
        "log_power_variance": _number(np.log(first[depth] / first[0]).var(ddof=1)),
        "log_power_variance_predicted": log_variance,
        "weight_grad_first_over_last": over_seeds(weight[1] / weight[depth]),
        "weight_grad_first_over_last_predicted": _number(weight_theory[1] / weight_theory[depth]),
        "weight_grad_flatness": _flatness(_rms(weight)[1:]),
        "weight_grad_flatness_predicted": _flatness(weight_theory.to_numpy()[1:]),
        "stream_factor": _factor(np.sqrt(power.mean().to_numpy())),
        "stream_factor_predicted": _factor(np.sqrt(ratio_theory.to_numpy())),
        "correlation_lag_1": over_seeds(line.loc[line["lag"] == 1, "correlation"]),
        "cosine": [over_seeds(table["cosine"].xs(layer, level="layer")) for layer in range(1, depth + 1)],
        "cosine_predicted": [_number(predicted["cosine_theory"][layer]) for layer in range(1, depth + 1)],
        "gradient_gain": [over_seeds(gains.xs(layer, level="layer")) for layer in range(1, depth + 1)],
        "gradient_gain_range": [_number(gains.min()), _number(gains.max())],
    }
    for name, column in (("gradient_factor", "stream_grad_norm"), ("delta_factor", "delta_norm")):
        from_layer = 0 if column == "stream_grad_norm" else 1
        found[name] = _factor(_rms(table[column].unstack())[from_layer:][::-1])
        found[f"{name}_predicted"] = _factor(predicted[f"{column}_theory"].to_numpy()[from_layer:][::-1])
    return found


def _rms(table: pd.DataFrame) -> NDArray[np.float64]:
    """Root mean square over seeds, by layer: theory speaks of mean squares."""
    return np.asarray(np.sqrt((table.to_numpy(dtype=np.float64) ** 2).mean(axis=0)))


def _factor(line: NDArray[np.float64]) -> float | None:
    """Factor from one layer to the next, fitted to the logarithm."""
    if len(line) < 2 or not (np.isfinite(line).all() and (line > 0).all()):
        return None
    return factor(line.tolist())


def _flatness(line: NDArray[np.float64]) -> float | None:
    return _number(line.max() / line.min() if line.min() > 0 else np.nan)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
