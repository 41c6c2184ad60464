"""What may stand in the params.yaml of this study."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.moons import Study
from gradflow.params.sections import (
    Depth,
    Section,
    Seed,
    VariantName,
    any_block,
    check_numbers,
    check_rising,
    check_size,
)
from gradflow.params.starts import AnyStart, Start

Buckets = Annotated[int, Field(ge=1, le=2**15)]


class Sketched(Start):
    """A network, how it starts, and how its blocks sketch what they read, see :mod:`gradflow.memory.sketched`."""

    buckets: Buckets
    balanced: bool
    scalars: bool

    def sketch(self) -> dict[str, Any]:
        """What a trained network is described by besides, in plain JSON values."""
        return {"sketch": {"buckets": self.buckets, "balanced": self.balanced, "scalars": self.scalars}}

    def is_of(self, other: Start) -> bool:
        """Whether it is the other network but for its sketches."""
        return self.model_dump().items() >= other.model_dump().items()


if TYPE_CHECKING:
    AnySketched = Sketched
else:
    AnySketched = any_block(Sketched)


class Errors(Section):
    """For which sketches errors are measured, how often each is drawn, and how many rows run through a block."""

    buckets: Annotated[list[Buckets], Field(min_length=1, max_length=20)]
    draws: Annotated[int, Field(ge=2, le=100_000)]
    share: Annotated[float, Field(gt=0, le=1)]
    seed: Seed


class Rules(Section):
    """How much blocks keep together, how much the one kind of them keeps, and how far gates are shut by hand."""

    mean: Buckets
    low: Buckets
    gate: Annotated[float, Field(gt=0, lt=1)]

    def whole(self, depth: int, batch: int) -> int:
        """How many blocks can keep the whole batch where the others keep ``low`` rows or a few more."""
        return depth * (self.mean - self.low) // (batch - self.low)


class Saved(Section):
    """For which blocks, depths and sizes bytes are counted."""

    variant: VariantName
    depths: Annotated[list[Depth], Field(min_length=1, max_length=20)]
    shapes: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=1, le=16_384)]], Field(min_length=2, max_length=2)]],
        Field(min_length=1, max_length=10),
    ]


class Params(Study):
    """The params.yaml of studies/memory."""

    variants: Annotated[dict[VariantName, AnyStart], Field(min_length=1, max_length=7)]
    sketched: Annotated[dict[VariantName, AnySketched], Field(min_length=1)]
    errors: Errors
    rules: Rules
    saved: Saved

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        self.moons.check()
        check_size([*self.variants, *self.sketched], self.seeds * self.depth * self.width**2)
        batch = self.train.batch_size
        check_numbers("train.batch_size", self.seeds * self.depth * batch * max(batch, self.width))
        check_numbers("saved.depths", max(self.saved.depths) * batch * self.width)
        for rows, width in self.saved.shapes:
            check_numbers("saved.shapes", self.saved.depths[0] * width * (rows + width))
        if 2 * batch > self.moons.train_rows:
            rule = f"must be at most half of the {self.moons.train_rows} rows of the train split"
            raise InputError("params.yaml: train.batch_size", f"{rule}, got {batch}")
        if self.errors.buckets != sorted(set(self.errors.buckets), reverse=True):
            rule = f"must fall from each number to the next, got {self.errors.buckets}"
            raise InputError("params.yaml: errors.buckets", rule)
        if not self.rules.low < self.rules.mean < batch:
            rule = f"must be between rules.low {self.rules.low} and the {batch} rows of a batch"
            raise InputError("params.yaml: rules.mean", f"{rule}, got {self.rules.mean}")
        if not self.rules.whole(self.depth, batch):
            rule = "must leave memory for a whole batch of one block"
            raise InputError("params.yaml: rules.low", f"{rule}, got {self.rules.low}")
        if self.saved.variant not in self.variants:
            rule = f"must be one of {', '.join(self.variants)}"
            raise InputError("params.yaml: saved.variant", f"{rule}, got {self.saved.variant!r}")
        check_rising("saved.depths", self.saved.depths)
