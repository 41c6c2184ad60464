"""What may stand in the params.yaml of this study."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gradflow.params.moons import Study
from gradflow.params.sections import (
    Count,
    Section,
    Seed,
    VariantName,
    Width,
    any_block,
    check_numbers,
    check_rising,
    check_size,
)
from gradflow.params.starts import Start

Swaps = Annotated[int, Field(ge=1, le=10_000)]
Draws = Annotated[int, Field(ge=1, le=1000)]


class Lesions(Section):
    """How often blocks are dropped and swapped at random, and how many swaps there are."""

    draws: Draws
    swaps: Annotated[list[Swaps], Field(min_length=1, max_length=50)]
    seed: Seed


class Paths(Section):
    """How many rows the gradient comes from that is split by path length."""

    rows: Count


class Trained(Start):
    """A network, how it starts, and the probability with which each of its blocks survives a step of training."""

    survival: Annotated[float, Field(gt=0, le=1)]


class Sized(Start):
    """A network before training, with a width of its own."""

    width: Width


if TYPE_CHECKING:
    AnyTrained = Trained
    AnySized = Sized
else:
    AnyTrained = any_block(Trained)
    AnySized = any_block(Sized)


class Params(Study):
    """The params.yaml of studies/lesions."""

    variants: Annotated[dict[VariantName, AnyTrained], Field(min_length=1)]
    starts: Annotated[dict[VariantName, AnySized], Field(min_length=1)]
    lesions: Lesions
    paths: Paths

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        self.moons.check()
        widest = max([self.width, *(start.width for start in self.starts.values())])
        check_size([*self.variants, *self.starts], self.seeds * self.depth * widest**2)
        check_numbers("moons.samples", self.seeds * self.moons.samples * self.width)
        check_numbers("train.epochs", self.seeds * self.depth * self.train.epochs * self.moons.samples)
        # All path lengths at once
        check_numbers("paths.rows", self.seeds * (self.depth + 1) * self.paths.rows * widest)
        self.check_rows("paths.rows", self.paths.rows)
        check_rising("lesions.swaps", self.lesions.swaps)
