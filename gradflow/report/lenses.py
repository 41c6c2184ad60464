"""What a reader moves to see what lenses read behind each sublayer of a transformer: one network, lens and layer."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradflow.analysis import spread
from gradflow.report import words

LEARNT = 0.75  # share of the tokens that can be told which a network that has learnt says in the end
_LENSES = ("logit", "tuned")
_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_ROUNDING = 1e-6  # nats; a distance below is 0 but for rounding


@dataclass(frozen=True)
class Lenses:
    """What studies/streams left.

    Attributes:
        params: Its params.yaml.
        names: Its variants in words.
        tokens: studies/streams/reports/tokens.csv.
        reading: studies/streams/reports/reading.csv.
    """

    params: Mapping[str, Any]
    names: Mapping[str, str]
    tokens: pd.DataFrame
    reading: pd.DataFrame


def payload(lenses: Lenses) -> dict[str, Any]:
    """What the script needs: the sequence, the names of tokens and layers, and the networks that have learnt.

    Tokens are numbers, and so are probabilities, in whole percent. KL(network || lens) is text: mean over seeds, and
    the smallest to the largest. The sequence, which all networks read, comes in copies of one block; its tokens can be
    told from the second copy on.
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
            if _says(rows) >= LEARNT
        ],
    }


def _sublayer(layer: int) -> str:
    return f"{('feedforward', 'attention')[layer % 2]}, layer {(layer + 1) // 2}"


def _says(tokens: pd.DataFrame) -> float:
    """The share of the tokens that can be told which a network says behind its last layer, where no lens is needed."""
    last = tokens[(tokens["layer"] == tokens["layer"].max()) & (tokens["told"] == 1)]
    return float((last["logit"] == last["next"]).mean())


def _read(tokens: pd.DataFrame, reading: pd.DataFrame) -> dict[str, Any]:
    """By lens and layer: token and probability at each position, how many are right, what is missed."""
    by_layer, seeds = tokens.groupby("layer"), reading.groupby("layer")
    return {
        lens: {
            "read": [rows[lens].tolist() for _, rows in by_layer],
            "sure": [[round(100 * share) for share in rows[f"{lens}_probability"]] for _, rows in by_layer],
            "right": [int(((rows[lens] == rows["next"]) & (rows["told"] == 1)).sum()) for _, rows in by_layer],
            "missed": [words.over_seeds(_spread(rows[lens])) for _, rows in seeds],
        }
        for lens in _LENSES
    }


def _spread(distances: pd.Series) -> dict[str, Any]:
    return spread.over_seeds(distances.where(distances >= _ROUNDING, 0.0))
