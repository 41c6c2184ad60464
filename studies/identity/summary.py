"""The numbers of one variant of the identity study, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import Spread, over_seeds
from gradflow.files.documents import Document
from gradflow.params import catalogue
from gradflow.tables.columns import FROM_0, FROM_1, SIZE, Column, Columns, within
from studies.identity.params import Params

_HISTORY = {"seed": FROM_0, "step": FROM_0, "loss": SIZE}
_KEYS = {"seed": FROM_0, "step": FROM_0, "layer": FROM_1}


class Lost(Document):
    """A seed whose loss stopped being finite, and before which step."""

    seed: int
    step: int


class Summary(Document):
    """See :func:`summary`, which also finds what the instruments measured."""

    loss_start: Spread
    loss_end: Spread
    seeds: int
    diverged: list[Lost]


def tables(config: Params) -> tuple[Columns, Columns]:
    """The columns of one variant's history and probe."""
    measured = [column for name in config.probe.instruments for column in catalogue.instruments()[name]]
    last = {"seed": config.seeds - 1, "step": config.train.steps}
    probe = _KEYS | dict.fromkeys(measured, Column(gaps=True))
    return within(_HISTORY, **last), within(probe, layer=config.depth, **last)


def summary(history: pd.DataFrame, probe: pd.DataFrame, *, depth: int, seeds: int, steps: int) -> dict[str, Any]:
    """Numbers for metrics.json.

    Args:
        history: Columns seed, step, loss.
        probe: Columns seed, step, layer and those of the instruments.
        depth: Blocks.
        seeds: How many were trained.
        steps: How many steps each was trained.

    Returns:
        ``loss_start`` and ``loss_end``, before the first and after the last step; for each column of the instruments
        ``NAME_start`` and ``NAME_end``, a list by layer; all of these are {mean, std, min, max, seeds} over the seeds
        that have the number. ``NAME_range_start`` and ``NAME_range_end``: smallest and largest number of any layer and
        seed. ``seeds``: how many were trained. ``diverged``: a list of {seed, step}, the seeds whose loss stopped being
        finite and before which step.
    """
    found: dict[str, Any] = {}
    moments = {"start": 0, "end": steps}
    for moment, step in moments.items():
        found[f"loss_{moment}"] = over_seeds(history.loc[history["step"] == step, "loss"])
    found["seeds"] = seeds
    rows = history.groupby("seed").size().reindex(range(seeds), fill_value=0)
    found["diverged"] = [{"seed": seed, "step": int(n)} for seed, n in enumerate(rows) if n <= steps]
    layers = range(1, depth + 1)
    for column in probe.columns.drop([*_KEYS, "variant"], errors="ignore"):
        for moment, step in moments.items():
            then = probe[probe["step"] == step]
            found[f"{column}_{moment}"] = [over_seeds(then.loc[then["layer"] == layer, column]) for layer in layers]
            spread = over_seeds(then[column])
            found[f"{column}_range_{moment}"] = [spread["min"], spread["max"]]
    return found
