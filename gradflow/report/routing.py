"""What a reader moves to see which blocks are run for which input: one network, policy and share at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from gradflow.data import dataset
from gradflow.report import charts

_KINDS = {"accuracy": "in the right class", "agreement": "in the class of the whole network"}
_COLOURS = ["var(--variant-1)", "var(--variant-0)"]
_LEGEND: dict[str, Any] = {"labelColor": "var(--ink)", "titleColor": "var(--ink)", "titleFontWeight": "normal"}
_HALF = 0.5


@dataclass(frozen=True)
class Routing:
    """What studies/routing left.

    Attributes:
        params: Its params.yaml.
        names: Its policies in words.
        policies: studies/routing/reports/policies.csv.
        rows: studies/routing/reports/rows.csv.
    """

    params: Mapping[str, Any]
    names: Mapping[str, str]
    policies: pd.DataFrame
    rows: pd.DataFrame


def payload(routing: Routing) -> dict[str, Any]:
    """What the script needs: for each network its points, for each policy its numbers by share, and the charts.

    Numbers of a share are means over seeds, those of :data:`_KINDS` with the smallest and the largest seed; blocks run
    for a point are in tenths, and a point is wrong if most seeds are.
    """
    depth = routing.params["depth"]
    return {
        "networks": [
            _network(str(name), rows, routing)
            for name, rows in routing.rows.groupby("variant", sort=False)
            if (routing.policies["variant"] == name).any()  # a seed is left
        ],
        "plane": plane(depth, routing.rows),
        "curves": curves(),
    }


def _network(name: str, rows: pd.DataFrame, routing: Routing) -> dict[str, Any]:
    points = rows.drop_duplicates("row")
    policies = [policy for policy in routing.names if (rows["policy"] == policy).any()]
    numbers = routing.policies[routing.policies["variant"] == name]
    return {
        "name": name,
        "points": [[_short(x1), _short(x2), int(label)] for x1, x2, label in points[["x1", "x2", "label"]].to_numpy()],
        "policies": [
            {
                "label": routing.names[policy],
                "shares": [
                    _share(own, numbers[(numbers["policy"] == policy) & (numbers["target"] == target)])
                    for target, own in rows[rows["policy"] == policy].groupby("target")
                ],
            }
            for policy in policies
        ],
    }


def _share(rows: pd.DataFrame, numbers: pd.DataFrame) -> dict[str, Any]:
    return {
        "target": float(numbers["target"].iloc[0]),
        **{name: _short(numbers[name].mean()) for name in ("share", "work", "kl")},
        **{name: [_short(getattr(numbers[name], of)()) for of in ("mean", "min", "max")] for name in _KINDS},
        "blocks": [round(10 * value) for value in rows["blocks"]],
        "wrong": [place for place, right in enumerate(rows["right"]) if right < _HALF],
    }


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def plane(depth: int, inputs: pd.DataFrame) -> dict[str, Any]:
    """Points coloured by the blocks that are run for them; the script's rows have x1, x2, label, blocks and wrong."""
    rows = alt.Chart(alt.NamedData(name="rows"))
    left, right, lower, upper = dataset.around(inputs[["x1", "x2"]].to_numpy(dtype=float))
    x = alt.X("x1:Q", scale=alt.Scale(domain=[left, right], nice=False))
    y = alt.Y("x2:Q", scale=alt.Scale(domain=[lower, upper], nice=False))
    colour = alt.Color(
        "blocks:Q",
        scale=alt.Scale(domain=[0, depth], scheme="viridis"),
        legend=alt.Legend(title="blocks run", **_LEGEND),
    )
    shape = alt.Shape("label:N", scale=alt.Scale(domain=[0, 1], range=["circle", "triangle"]), legend=None)
    tooltip = [alt.Tooltip("label:N", title="class"), alt.Tooltip("blocks:Q", title="blocks run", format=".1f")]
    points = rows.mark_point(filled=True, size=55, opacity=1, aria=False).encode(x, y, colour, shape, tooltip=tooltip)
    wrong = rows.transform_filter("datum.wrong").mark_point(
        shape="cross", angle=45, size=110, color="var(--mark)", strokeWidth=1.5, opacity=1, aria=False
    )
    return charts.finished(points, wrong.encode(x, y), height=380, description="inputs, coloured by the blocks run")


def curves() -> dict[str, Any]:
    """Accuracy and agreement by share; the script's rows have target, kind, mean, low, high; now is the slider."""
    rows = alt.Chart(alt.NamedData(name="rows"))
    x = alt.X(
        "target:Q",
        title="share of the blocks asked for",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(grid=False, format="%"),
    )
    title, scale = "share of rows", alt.Scale(domain=[0.4, 1.02], nice=False)
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(_KINDS.values()), range=_COLOURS),
        legend=alt.Legend(title=None, orient="top", labelLimit=300, **_LEGEND),
    )
    quiet: Any = {"clip": True, "aria": False}
    band = rows.mark_area(opacity=0.2, **quiet).encode(
        x, alt.Y("low:Q", title=title, scale=scale), y2="high:Q", color=colour
    )
    y = alt.Y("mean:Q", title=title, scale=scale)
    line = rows.mark_line(strokeWidth=2, **quiet).encode(x, y, color=colour)
    tooltip = ["kind:N", *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("target", "mean", "low", "high"))]
    dots = rows.mark_circle(size=40, opacity=1, **quiet).encode(x, y, color=colour, tooltip=tooltip)
    now = alt.Chart(alt.NamedData(name="now")).mark_rule(color="var(--mark)", strokeWidth=1.5, aria=False).encode(x)
    return charts.finished(band, line, dots, now, height=380, description="accuracy and agreement by share")
