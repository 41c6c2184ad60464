"""What may stand in the params.yaml of this study."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.moons import Study
from gradflow.params.sections import (
    Count,
    Depth,
    Section,
    Seed,
    Seeds,
    Share,
    VariantName,
    Width,
    any_block,
    check_numbers,
    check_rising,
    check_size,
)
from gradflow.params.starts import Start

Shares = Annotated[list[Share], Field(min_length=1, max_length=20)]
WEIGHTS: dict[str, Callable[[float], float]] = {
    "nothing": lambda _: 1.0,
    "mean": lambda share: 1 / share,
    "power": lambda share: 1 / math.sqrt(share),
}
_MOST_GROWTH = 300  # natural logarithm: far from the largest float64, also when squared


class Trained(Start):
    """A network, how it starts, and how it trains.

    Attributes:
        share: The probability with which a row goes through a branch.
        keeps: What of the branch is kept by a factor on what it adds: nothing, by the factor 1, its mean over what is
            drawn, by 1 / share, or its power, by 1 / sqrt(share).
    """

    share: Share
    keeps: Literal["nothing", "mean", "power"]

    @property
    def weight(self) -> float:
        """The factor."""
        return WEIGHTS[self.keeps](self.share)

    def trained(self) -> dict[str, Any]:
        """What a checkpoint says of the training beside the network."""
        return {"share": self.share, "keeps": self.keeps}


class Measure(Section):
    """At which shares each network is run."""

    shares: Shares
    seed: Seed


class Growth(Section):
    """Networks before training whose branches see a share of the rows; see :mod:`studies.shares.growth`."""

    depths: Annotated[list[Depth], Field(min_length=1, max_length=5)]
    width: Width
    scale: Annotated[float, Field(gt=0, le=100)]
    exponents: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1, max_length=7)]
    shares: Shares
    rows: Count
    seeds: Seeds
    seed: Seed


if TYPE_CHECKING:
    AnyTrained = Trained
else:
    AnyTrained = any_block(Trained)


class Params(Study):
    """The params.yaml of studies/shares."""

    variants: Annotated[dict[VariantName, AnyTrained], Field(min_length=1)]
    measure: Measure
    growth: Growth

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        self.moons.check()
        check_size(self.variants, self.seeds * self.depth * self.width**2)
        check_numbers("moons.samples", self.seeds * self.depth * self.moons.samples * self.width)
        if any(chosen.share < 1 for chosen in self.variants.values()):
            steps = self.train.epochs * -(-self.moons.train_rows // self.train.batch_size)
            check_numbers("train.epochs", self.seeds * self.depth * steps * self.train.batch_size)
        check_rising("measure.shares", self.measure.shares)
        for name, chosen in self.variants.items():
            if chosen.share not in self.measure.shares:
                rule = f"must be of measure.shares, {self.measure.shares}"
                raise InputError(f"params.yaml: variants.{name}.share", f"{rule}, got {chosen.share}")
        growth = self.growth
        check_numbers("growth.rows", growth.seeds * max(growth.depths) * growth.rows * growth.width * 4)
        check_numbers("growth.width", growth.seeds * max(growth.depths) * growth.width**2 * 4)
        for key in ("depths", "exponents", "shares"):
            check_rising(f"growth.{key}", getattr(growth, key))
        depth, exponent, share = growth.depths[-1], growth.exponents[0], growth.shares[0]
        grown = depth / 4 * (growth.scale / depth**exponent) ** 2 / share
        if grown > _MOST_GROWTH:
            rule = f"must keep depth^(1 - 2 exponent) * scale^2 / share / 4 <= {_MOST_GROWTH}, got {grown:.0f}"
            raise InputError("params.yaml: growth.depths", rule)
