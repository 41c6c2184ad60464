"""What may stand in the params.yaml of this study."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.moons import Study
from gradflow.params.sections import (
    Count,
    Section,
    VariantName,
    any_block,
    check_numbers,
    check_size,
)
from gradflow.params.starts import Start

SETTINGS = {
    "denseformer": (),
    "hyper_connections": ("streams", "dynamic"),
    "depth_attention": ("form", "scaled"),
    "matrix_stream": ("slots",),
}
Streams = Annotated[int, Field(ge=1, le=64)]


class Mixing(Section):
    """A rule of gradflow/mixing, and the settings that this rule has."""

    rule: Literal["denseformer", "hyper_connections", "depth_attention", "matrix_stream"]
    streams: Streams | None = None
    dynamic: bool | None = None
    form: Literal["alone", "normed", "added"] | None = None
    scaled: bool | None = None
    slots: Streams | None = None

    def chosen(self) -> dict[str, Any]:
        """The rule with its settings, as :func:`gradflow.kit.mixing.made` reads it."""
        return self.model_dump(exclude_none=True)


class Trained(Start):
    """A network, how it starts, and what mixes its streams."""

    mixing: Mixing | None


class Measure(Section):
    """What is measured on how many rows."""

    rows: Count


if TYPE_CHECKING:
    AnyTrained = Trained
else:
    AnyTrained = any_block(Trained)


class Params(Study):
    """The params.yaml of studies/mixing."""

    variants: Annotated[dict[VariantName, AnyTrained], Field(min_length=1)]
    measure: Measure

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        self.moons.check()
        side_by_side = 1
        for name, variant in self.variants.items():
            if variant.mixing:
                given = variant.mixing.chosen()
                wanted, found = (("rule", *SETTINGS[variant.mixing.rule]), tuple(given))
                if set(found) != set(wanted):
                    rule = f"must have {', '.join(wanted)} for this rule, got {', '.join(found)}"
                    raise InputError(f"params.yaml: variants.{name}.mixing", rule)
                side_by_side = max(side_by_side, given.get("streams", 1), given.get("slots", 1))
        self.check_rows("measure.rows", self.measure.rows)
        check_size(self.variants, self.seeds * self.depth * self.width**2)
        of_a_row = self.seeds * self.width * self.depth * max(side_by_side, self.depth / 2)
        check_numbers("moons.samples", round(self.seeds * self.moons.samples * self.width * side_by_side))
        check_numbers("train.batch_size", round(of_a_row * self.train.batch_size))
        check_numbers("measure.rows", round(of_a_row * self.measure.rows))
