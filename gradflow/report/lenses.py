"""What a reader moves to see what lenses read behind each sublayer of a transformer: one network, lens and layer."""

import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradflow.analysis import spread
from gradflow.report import words

_LENSES = ("logit", "tuned")
_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_ROUNDING = 1e-6  # nats; a distance below is 0 but for rounding


@dataclass(frozen=True)
class Lenses:
    """What studies/streams left.

    Attributes:
        params: Its params.yaml.
        learnt: The accuracy in the end, a mean over seeds, from which on a network has learnt.
        names: The variants that have, in words.
        tokens: studies/streams/reports/tokens.csv.
        reading: studies/streams/reports/reading.csv.
    """

    params: Mapping[str, Any]
    learnt: float
    names: Mapping[str, str]
    tokens: pd.DataFrame
    reading: pd.DataFrame


def payload(lenses: Lenses) -> dict[str, Any]:
    """What the script needs: the sequence, the names of tokens and layers, and the networks that have learnt.

    Tokens are numbers, and so are probabilities, in whole percent; what a lens reads is None where its logits are not
    finite. KL(network || lens) is text: mean over seeds, and the smallest to the largest. The sequence, which all
    networks read, comes in copies of one block; its tokens can be told from the second copy on.
    """
    tokens = lenses.params["sequences"]["tokens"]
    sequence = lenses.tokens.drop_duplicates("position")
    layers = 1 + int(lenses.tokens["layer"].max())
    return {
        "letters": list(_LETTERS[:tokens]) if tokens <= len(_LETTERS) else [str(token) for token in range(tokens)],
        "places": ["embedding", *map(_sublayer, range(1, layers))],
        "stands": sequence["token"].tolist(),
        "next": sequence["next"].tolist(),
        "told": sequence["told"].tolist(),
        "networks": [
            {"name": lenses.names[str(name)], **_read(rows, lenses.reading[lenses.reading["variant"] == name])}
            for name, rows in lenses.tokens.groupby("variant", sort=False)
            if name in lenses.names
        ],
    }


def _sublayer(layer: int) -> str:
    return f"{('feedforward', 'attention')[layer % 2]}, layer {(layer + 1) // 2}"


def _read(tokens: pd.DataFrame, reading: pd.DataFrame) -> dict[str, Any]:
    """By lens and layer: token and probability at each position, how many are right, what is missed."""
    by_layer, seeds = tokens.groupby("layer"), reading.groupby("layer")
    found = {}
    for lens in _LENSES:
        says = [list(zip(rows[lens], rows[f"{lens}_probability"], strict=True)) for _, rows in by_layer]
        read = [[None if math.isnan(share) else token for token, share in row] for row in says]
        goals = [rows["next"].where(rows["told"] == 1, -1) for _, rows in by_layer]
        found[lens] = {
            "read": read,
            "sure": [[None if math.isnan(share) else round(100 * share) for _, share in row] for row in says],
            "right": [sum(a == b for a, b in zip(*each, strict=True)) for each in zip(read, goals, strict=True)],
            "missed": [words.over_seeds(_spread(rows[lens])) for _, rows in seeds],
        }
    return found


def _spread(distances: pd.Series) -> dict[str, Any]:
    return spread.over_seeds(distances.mask(distances < _ROUNDING, 0.0))
