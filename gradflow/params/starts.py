"""For studies: variants that name their initialisation, and the names of the instruments."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gradflow.params import catalogue
from gradflow.params.sections import Init, Variant, VariantName, any_block


class Start(Variant):
    """A network and how it starts."""

    init: Init


if TYPE_CHECKING:
    AnyStart = Start
    InstrumentName = str
else:
    AnyStart = any_block(Start)
    InstrumentName = Literal[*catalogue.instruments()]

Starts = Annotated[dict[VariantName, AnyStart], Field(min_length=1)]
