"""What may stand in the params.yaml of this study."""

from typing import TYPE_CHECKING, Annotated

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


class Trained(Start):
    """A network, how it starts, and how it trains.

    Attributes:
        share: The probability with which a row goes through a branch.
        rescaled: Whether what a branch adds is divided by the share.
    """

    share: Share
    rescaled: bool


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
