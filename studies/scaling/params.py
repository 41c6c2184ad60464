"""What may stand in the params.yaml of this study."""

import json
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.sections import (
    Count,
    Depth,
    Init,
    Parameters,
    Section,
    Seed,
    Seeds,
    Variant,
    VariantName,
    Width,
    any_block,
    check_numbers,
    check_size,
)

LogRate = Annotated[int, Field(ge=-60, le=13)]  # log2 of a learning rate


class Teacher(Section):
    """The function to learn."""

    hidden: Width
    gain: Annotated[float, Field(gt=0, le=1000)]
    seed: Seed


class Train(Section):
    """How the networks are trained."""

    steps: Count
    batch_size: Count
    log2_lrs: Annotated[list[LogRate], Field(min_length=1, max_length=100)]
    init: Init
    seed: Seed


class Measure(Section):
    """What is measured on how many rows, and after how many steps the last stream is looked at."""

    rows: Count
    steps: Count


class Analysis(Section):
    """At which of the learning rates depths are compared."""

    log2_lr: LogRate


class Point(Variant):
    """A network of its own depth, and whether its learning rates follow CompleteP's rules."""

    depth: Depth
    transfer: bool


if TYPE_CHECKING:
    AnyPoint = Point
else:
    AnyPoint = any_block(Point)


class Params(Parameters):
    """The params.yaml of studies/scaling."""

    width: Width
    base_depth: Depth
    seeds: Seeds
    teacher: Teacher
    train: Train
    measure: Measure
    variants: Annotated[dict[VariantName, AnyPoint], Field(min_length=1)]
    analysis: Analysis

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        train, depth = self.train, max(point.depth for point in self.variants.values())
        check_size(self.variants, self.seeds * depth * self.width**2)
        check_numbers("train.steps", self.seeds * train.steps * depth)
        check_numbers("train.batch_size", self.seeds * depth * train.batch_size * self.width)
        check_numbers("measure.rows", self.seeds * self.measure.rows * self.width)
        if self.teacher.hidden > self.width:
            raise InputError(
                "params.yaml: teacher.hidden", f"must be <= {self.width}, the width, got {self.teacher.hidden}"
            )
        if train.steps % self.measure.steps:
            raise InputError(
                "params.yaml: train.steps",
                f"must be a multiple of measure.steps {self.measure.steps}, got {train.steps}",
            )
        if len(set(train.log2_lrs)) < len(train.log2_lrs):
            raise InputError("params.yaml: train.log2_lrs", f"must not hold a rate twice, got {train.log2_lrs}")
        if (rate := self.analysis.log2_lr) not in train.log2_lrs:
            known = ", ".join(map(str, train.log2_lrs))
            raise InputError("params.yaml: analysis.log2_lr", f"must be one of train.log2_lrs ({known}), got {rate}")
        self._check_variants()

    def _check_variants(self) -> None:
        seen: dict[str, str] = {}
        for name, point in self.variants.items():
            where, exponent = f"params.yaml: variants.{name}", point.settings().get("exponent")
            if exponent is None:
                raise InputError(f"{where}.block", f"must be one with an exponent, got {point.block!r}")
            if not 0 <= exponent <= 1:
                raise InputError(f"{where}.exponent", f"must be from 0 to 1, got {exponent:g}")
            other = seen.setdefault(json.dumps(point.model_dump(), sort_keys=True), name)
            if other != name:
                rule = f"must not be that of variants.{other}, which is the same otherwise"
                raise InputError(f"{where}.depth", f"{rule}, got {point.depth}")
