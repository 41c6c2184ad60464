"""The section of params.yaml on denoising."""

from typing import Annotated, Any

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.digits import PIXELS
from gradflow.params.sections import (
    Count,
    Init,
    Section,
    Seed,
    Seeds,
    VariantName,
    Width,
    check_numbers,
    check_size,
)

_MOST_STAGES = 7  # 8 pixels each way can be halved three times


class Train(Section):
    """How all networks are trained: Adam on fresh noise, mean squared error."""

    init: Init
    steps: Count
    batch_size: Count
    every: Count
    lr: Annotated[float, Field(gt=0, le=10)]
    seed: Seed


class Denoiser(Section):
    """How noisy digits are, and whether the network has long skips."""

    noise: Annotated[float, Field(gt=0, le=10)]
    long_skips: bool


class Measure(Section):
    """From which weights gradients before training are measured, and how many digits are shown."""

    starts: Annotated[list[Init], Field(min_length=1, max_length=6)]
    shown: Annotated[int, Field(ge=1, le=10)]


class Denoise(Section):
    """What is in the section ``denoise``."""

    widths: Annotated[list[Width], Field(min_length=1, max_length=_MOST_STAGES)]
    seeds: Seeds
    train: Train
    variants: Annotated[dict[VariantName, Denoiser], Field(min_length=1)]
    measure: Measure

    def described(self, variant: str) -> dict[str, Any]:
        """What a network is, as :func:`gradflow.kit.building.build` reads it, and how it starts."""
        settings = {"long_skips": self.variants[variant].long_skips}
        found: dict[str, Any] = {"network": "unet", "block": "stage", "settings": settings}
        return found | {"widths": self.widths, "depth": len(self.widths), "init": self.train.init}

    def trained(self, variant: str) -> dict[str, Any]:
        """The whole configuration of a training, which its checkpoint holds."""
        noise = self.variants[variant].noise
        return self.described(variant) | {"seeds": self.seeds, "noise": noise, "train": self.train.model_dump()}

    def check(self, validation_rows: int) -> None:
        """Check the rules that involve several keys.

        Args:
            validation_rows: How many digits all networks look at together.

        Raises:
            InputError: Values do not go together; names the key to change.
        """
        if len(self.widths) % 2 == 0 or self.widths != self.widths[::-1]:
            rule = "must be odd in number and read the same from both ends"
            raise InputError("params.yaml: denoise.widths", f"{rule}, got {self.widths}")
        if self.train.steps % self.train.every:
            rule = f"must be a multiple of denoise.train.every, {self.train.every}"
            raise InputError("params.yaml: denoise.train.steps", f"{rule}, got {self.train.steps}")
        weights = self.seeds * len(self.widths) * 27 * max(self.widths) ** 2
        check_size(self.variants, weights, key="denoise.variants", width="denoise.widths")
        rows = max(validation_rows, self.train.batch_size)
        check_numbers("denoise.widths", self.seeds * rows * PIXELS * len(self.widths) * 2 * max(self.widths))
        if len(set(self.measure.starts)) < len(self.measure.starts):
            raise InputError("params.yaml: denoise.measure.starts", f"must differ, got {self.measure.starts}")
        known: dict[tuple[float, bool], str] = {}
        for name, chosen in self.variants.items():
            other = known.setdefault((chosen.noise, chosen.long_skips), name)
            if other != name:
                rule = f"must differ from {other} in noise or long_skips"
                raise InputError(f"params.yaml: denoise.variants.{name}", f"{rule}, got {chosen.model_dump()}")
