"""What may stand in the params.yaml of this study."""

from typing import Annotated

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.sections import Depth, Parameters, Section, Seed, Seeds, Width, check_numbers, check_size
from gradflow.params.starts import Starts


class Inputs(Section):
    """What the networks are given."""

    rows: Annotated[int, Field(ge=2, le=100_000)]
    seed: Seed


class Line(Section):
    """The line along which input gradients are compared."""

    points: Annotated[int, Field(ge=2, le=10_000)]


class Params(Parameters):
    """The params.yaml of studies/initialisation."""

    depth: Depth
    width: Width
    seeds: Seeds
    seed: Seed
    variants: Starts
    inputs: Inputs
    line: Line

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        check_size(self.variants, self.seeds * self.depth * self.width**2)
        check_numbers("inputs.rows", self.seeds * self.depth * self.inputs.rows * self.width)
        check_numbers("line.points", self.seeds * self.line.points * max(self.line.points, self.width))
        if self.inputs.rows > self.width:
            raise InputError(
                "params.yaml: inputs.rows",
                f"must be <= {self.width}, the width, to be orthogonal, got {self.inputs.rows}",
            )
