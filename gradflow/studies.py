"""What may stand in the params.yaml of each study whose keys are its own."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gradflow import catalogue
from gradflow.errors import InputError
from gradflow.params import Count, Parameters, Section, Seed, Variant, VariantName, any_block, check_size

Depth = Annotated[int, Field(ge=1, le=10_000)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Seeds = Annotated[int, Field(ge=1, le=10_000)]
MOST_NUMBERS = 10**8  # of one quantity that is held for all seeds, layers and samples at once, in float64


def check_numbers(key: str, numbers: int) -> None:
    """Check that what a study holds at once fits into memory.

    Raises:
        InputError: It does not; names the key to change.
    """
    if numbers > MOST_NUMBERS:
        raise InputError(
            f"params.yaml: {key}", f"must keep what is held at once <= {MOST_NUMBERS:,} numbers, got {numbers:,}"
        )


class Start(Variant):
    """A network and how it starts."""

    init: Literal["default", "he", "he_over_sqrt_depth"]


if TYPE_CHECKING:
    AnyStart = Start
    InstrumentName = str
else:
    AnyStart = any_block(Start)
    InstrumentName = Literal[*catalogue.instruments()]

Starts = Annotated[dict[VariantName, AnyStart], Field(min_length=1)]


class IdentityTrain(Section):
    """How the networks of the identity study are trained."""

    steps: Count
    batch_size: Count
    optimizer: Literal["adam"]
    lr: Annotated[float, Field(gt=0, le=10_000)]
    seed: Seed


class IdentityProbe(Section):
    """After how many steps the networks are measured, and with what."""

    steps: list[Annotated[int, Field(ge=0)]]
    instruments: Annotated[list[InstrumentName], Field(min_length=1)]


class Identity(Parameters):
    """The params.yaml of studies/identity."""

    depth: Depth
    width: Width
    seeds: Seeds
    train: IdentityTrain
    variants: Starts
    probe: IdentityProbe

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        check_size(self.variants, self.seeds * self.depth * self.width**2)
        check_numbers("train.batch_size", self.seeds * self.depth * self.train.batch_size * self.width)
        last = max(self.probe.steps, default=0)
        if last > self.train.steps:
            raise InputError(
                "params.yaml: probe.steps", f"must be <= {self.train.steps}, the steps of the training, got {last}"
            )


class Inputs(Section):
    """What the networks of the initialisation study are given."""

    rows: Annotated[int, Field(ge=2, le=100_000)]
    seed: Seed


class Line(Section):
    """The line along which input gradients are compared."""

    points: Annotated[int, Field(ge=2, le=10_000)]


class Initialisation(Parameters):
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


MODELS: dict[str, type[Parameters]] = {"identity": Identity, "initialisation": Initialisation}
