"""What may stand in the params.yaml of this study."""

from typing import Annotated, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.sections import (
    Depth,
    Parameters,
    Section,
    Seed,
    Seeds,
    Width,
    check_numbers,
    check_rising,
    check_size,
)
from gradflow.params.starts import Starts

Precision = Literal["float32", "bfloat16", "float16"]


class Inputs(Section):
    """What the networks are given."""

    rows: Annotated[int, Field(ge=2, le=100_000)]
    seed: Seed


class Overflow(Section):
    """By which factors the first map of each branch is multiplied: 1 to 10^decades, ``step`` decades apart."""

    precisions: Annotated[list[Precision], Field(min_length=1, max_length=3)]
    decades: Annotated[float, Field(gt=0, le=40)]
    step: Annotated[float, Field(ge=0.001, le=10)]


class Params(Parameters):
    """The params.yaml of studies/overflow."""

    depths: Annotated[list[Depth], Field(min_length=1)]
    width: Width
    seeds: Seeds
    seed: Seed
    variants: Starts
    inputs: Inputs
    overflow: Overflow

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        check_rising("depths", self.depths)
        check_size(self.variants, self.seeds * self.depths[-1] * self.width**2)
        check_numbers("inputs.rows", self.seeds * self.depths[-1] * self.inputs.rows * self.width)
        precisions = self.overflow.precisions
        if len(set(precisions)) < len(precisions):
            raise InputError(
                "params.yaml: overflow.precisions", f"must not name one twice, got {', '.join(precisions)}"
            )
