"""What may stand in the params.yaml of this study."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.moons import Study
from gradflow.params.sections import (
    Count,
    Section,
    Seed,
    VariantName,
    any_block,
    check_numbers,
    check_rising,
    check_size,
)
from gradflow.params.starts import Start

Coordinate = Annotated[float, Field(ge=-1000, le=1000)]
Size = Annotated[float, Field(gt=0, le=1000)]
Angle = Annotated[float, Field(ge=-180, le=180)]
Sizes = Annotated[list[Size], Field(min_length=1, max_length=20)]


class Gap(Section):
    """A disc of the standardised plane without rows to train on."""

    x1: Coordinate
    x2: Coordinate
    radius: Size


class Shifts(Section):
    """How far validation rows are shifted, in several ways; see :mod:`studies.gates.shifted`."""

    rotation: Annotated[list[Angle], Field(min_length=1, max_length=20)]
    translation: Sizes
    noise: Sizes
    scale: Sizes
    box: Sizes
    box_points: Count
    seed: Seed

    def names(self) -> list[str]:
        """Each shift in one word, from no shift on: ``validation``, ``rotation_45``, ..., ``gap``, ``box_6``."""
        sized = [
            f"{kind}_{size:g}".replace("-", "minus_").replace(".", "_")
            for kind in ("rotation", "translation", "noise", "scale", "box")
            for size in getattr(self, kind)
        ]
        return ["validation", *sized, "gap"]


class Measure(Section):
    """What is measured on how many rows."""

    rows: Count


class Plot(Section):
    """What figures show: networks side by side, shifts on which their norms are shown, and gates over the plane."""

    variants: Annotated[list[VariantName], Field(min_length=1, max_length=7)]
    norms: Annotated[list[str], Field(min_length=1, max_length=6)]
    gates: Annotated[list[VariantName], Field(min_length=1, max_length=6)]


class Trained(Start):
    """A network, how it starts, and on which rows it is trained: all of the split, or those outside of the gap."""

    rows: Literal["all", "outside"]


if TYPE_CHECKING:
    AnyTrained = Trained
else:
    AnyTrained = any_block(Trained)


class Params(Study):
    """The params.yaml of studies/gates."""

    gap: Gap
    variants: Annotated[dict[VariantName, AnyTrained], Field(min_length=1)]
    shifts: Shifts
    measure: Measure
    plot: Plot

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        self.moons.check()
        check_size(self.variants, self.seeds * self.depth * self.width**2)
        most = max(self.moons.samples, self.shifts.box_points)
        check_numbers("moons.samples", self.seeds * most * self.width)
        check_numbers("measure.rows", self.seeds * self.depth * self.measure.rows * self.width)
        self.check_rows("measure.rows", self.measure.rows)
        for key, known in (("variants", self.variants), ("norms", self.shifts.names()), ("gates", self.variants)):
            unknown = [name for name in getattr(self.plot, key) if name not in known]
            if unknown:
                raise InputError(f"params.yaml: plot.{key}", f"must be of {', '.join(known)}, got {unknown[0]!r}")
        if self.plot.variants[0] != next(iter(self.variants)):
            first = next(iter(self.variants))
            rule = f"must begin with {first}, the first variant, beside which the others are shown"
            raise InputError("params.yaml: plot.variants", f"{rule}, got {self.plot.variants[0]!r}")
        for key in ("rotation", "translation", "noise", "scale", "box"):
            check_rising(f"shifts.{key}", getattr(self.shifts, key))
