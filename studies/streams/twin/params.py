"""The section ``twin`` of the params.yaml."""

from typing import Annotated, Any

from pydantic import Field

from gradflow.params.digits import IMAGES, Digits
from gradflow.params.moons import Descending
from gradflow.params.sections import Count, Init, Section, Seeds, VariantName, Width, check_numbers, check_size


class Chosen(Section):
    """A network: whether the stream goes past its blocks."""

    skip: bool


class Measure(Section):
    """How what is read on streams learns to read.

    Attributes:
        lens_steps: Of the tuned lens, each on all train rows.
        lens_lr: Of its Adam.
        probe_decay: On the squared weights of linear probes.
    """

    lens_steps: Count
    lens_lr: Annotated[float, Field(gt=0, le=10)]
    probe_decay: Annotated[float, Field(gt=0, le=10)]


class Twin(Section):
    """Perceptrons on digits."""

    depth: Annotated[int, Field(ge=2, le=200)]
    width: Width
    hidden: Width
    init: Init
    seeds: Seeds
    digits: Digits
    train: Descending
    variants: Annotated[dict[VariantName, Chosen], Field(min_length=1)]
    measure: Measure

    def described(self, variant: str) -> dict[str, Any]:
        """What a network is, as :func:`gradflow.kit.building.build` reads it, and how it starts."""
        settings = {"hidden": self.hidden, "skip": self.variants[variant].skip}
        about: dict[str, Any] = {"network": "digits", "block": "pre", "settings": settings, "widths": None}
        return about | {"depth": self.depth, "width": self.width, "init": self.init}

    def trained(self, variant: str) -> dict[str, Any]:
        """What a checkpoint says of a network: what it is, how many there are, and how they were trained."""
        return self.described(variant) | {"seeds": self.seeds, "train": self.train.model_dump()}

    def check(self) -> None:
        """Check the names of variants, and that weights and streams of all seeds fit into memory.

        Raises:
            InputError: They do not; names the key to change.
        """
        wider = "twin.hidden" if self.hidden > self.width else "twin.width"
        weights = self.seeds * self.depth * 2 * self.width * self.hidden
        check_size(self.variants, weights, key="twin.variants", width=wider)
        check_numbers(wider, IMAGES * self.seeds * self.depth * max(self.width, self.hidden))
