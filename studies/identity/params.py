"""What may stand in the params.yaml of this study."""

from typing import Annotated, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.sections import Count, Depth, Parameters, Section, Seed, Seeds, Width, check_numbers, check_size
from gradflow.params.starts import InstrumentName, Starts


class Train(Section):
    """How the networks are trained."""

    steps: Count
    batch_size: Count
    optimizer: Literal["adam"]
    lr: Annotated[float, Field(gt=0, le=10_000)]
    seed: Seed


class Probe(Section):
    """After how many steps the networks are measured, and with what."""

    steps: list[Annotated[int, Field(ge=0)]]
    instruments: Annotated[list[InstrumentName], Field(min_length=1)]


class Params(Parameters):
    """The params.yaml of studies/identity."""

    depth: Depth
    width: Width
    seeds: Seeds
    train: Train
    variants: Starts
    probe: Probe

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        check_size(self.variants, self.seeds * self.depth * self.width**2)
        check_numbers("train.steps", self.seeds * self.train.steps * self.depth)
        check_numbers("train.batch_size", self.seeds * self.depth * self.train.batch_size * self.width)
        last = max(self.probe.steps, default=0)
        if last > self.train.steps:
            raise InputError(
                "params.yaml: probe.steps", f"must be <= {self.train.steps}, the steps of the training, got {last}"
            )
