"""What may stand in the params.yaml of this study."""

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.kit.widths import of_streams
from gradflow.params.digits import IMAGES, PIXELS, Digits
from gradflow.params.sections import (
    Count,
    Depth,
    Init,
    Parameters,
    Section,
    Seed,
    Seeds,
    VariantName,
    Width,
    check_numbers,
    check_size,
)
from studies.convnets.denoise.params import Denoise

CONVOLUTIONS = {"basic": 2, "bottleneck": 3}  # of a block
_NARROWER = 4  # times, inside of a bottleneck


class Train(Section):
    """How all networks are trained: SGD in shuffled batches."""

    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0, le=10_000)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    init: Init
    seed: Seed


class Trained(Section):
    """A network, and the largest gradient norm of its steps.

    Attributes:
        block: What a branch is.
        skip: Whether the stream goes past it.
        batch_norm: Whether there is one behind each convolution.
        shortcut: How the stream goes past a block that changes the number of channels.
        padding: What convolutions see beyond the edges of an image.
        clip_norm: Per seed; None: no clipping.
        widths: Channels of its stages.
        depth_over: By which the depth is divided.
    """

    block: Literal["basic", "bottleneck"]
    skip: bool
    batch_norm: bool
    shortcut: Literal["projection", "padding", "none"]
    padding: Literal["zeros", "circular"]
    clip_norm: Annotated[float, Field(gt=0)] | None
    widths: Annotated[list[Width], Field(min_length=1, max_length=3)]  # 8 pixels each way, then 4, then 2
    depth_over: Count


class Plot(Section):
    """Which networks a figure shows: by their depth, and by what they cost."""

    by_depth: Annotated[list[VariantName], Field(min_length=1)]
    costs: Annotated[list[VariantName], Field(min_length=1)]


class Params(Parameters):
    """The params.yaml of studies/convnets."""

    depth: Depth
    seeds: Seeds
    digits: Digits
    train: Train
    variants: Annotated[dict[VariantName, Trained], Field(min_length=1)]
    denoise: Denoise
    plot: Plot

    def blocks(self, variant: str) -> int:
        """How many blocks a network has."""
        return max(1, self.depth // self.variants[variant].depth_over)

    def layers(self, variant: str) -> int:
        """How many layers with weights lie one behind another: stem, convolutions of blocks, head."""
        return 2 + self.blocks(variant) * CONVOLUTIONS[self.variants[variant].block]

    def described(self, variant: str) -> dict[str, Any]:
        """What a network is, as :func:`gradflow.kit.building.build` reads it, and how it starts."""
        chosen = self.variants[variant]
        settings = chosen.model_dump(include={"skip", "batch_norm", "shortcut", "padding"})
        found: dict[str, Any] = {"network": "convnet", "block": chosen.block, "settings": settings}
        return found | {"widths": chosen.widths, "depth": self.blocks(variant), "init": self.train.init}

    def trained(self, variant: str) -> dict[str, Any]:
        """The whole configuration of a training, which its checkpoint holds."""
        training = self.train.model_dump() | {"clip_norm": self.variants[variant].clip_norm}
        return self.described(variant) | {"seeds": self.seeds, "train": training}

    def streams(self, variant: str) -> list[int]:
        """How many numbers the stream of one image holds before the first block and behind each."""
        channels = of_streams(self.variants[variant].widths, self.blocks(variant))
        pixels, found = PIXELS, [PIXELS * channels[0]]
        for before, after in pairwise(channels):
            pixels = pixels if before == after else pixels // 4
            found.append(pixels * after)
        return found

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        for name, chosen in self.variants.items():
            where = f"params.yaml: variants.{name}"
            depth, widest = self.blocks(name), max(chosen.widths)
            weights = self.seeds * depth * CONVOLUTIONS[chosen.block] * 9 * widest**2
            check_size(self.variants, weights, width=f"variants.{name}.widths")
            self._check_memory(name)
            if chosen.skip and chosen.shortcut == "none" and len(set(of_streams(chosen.widths, depth))) > 1:
                rule = f"must be projection or padding where channels change, here {chosen.widths}"
                raise InputError(f"{where}.shortcut", f"{rule}, got none")
            if chosen.block == "bottleneck" and any(width % _NARROWER for width in chosen.widths):
                rule = f"must be multiples of {_NARROWER} for bottlenecks"
                raise InputError(f"{where}.widths", f"{rule}, got {chosen.widths}")
        for key, names in self.plot:
            where = f"params.yaml: plot.{key}"
            for name in names:
                if name not in self.variants:
                    raise InputError(where, f"must be of {', '.join(self.variants)}, got {name!r}")
            if len(set(names)) < len(names):
                raise InputError(where, f"must not name a variant twice, got {names}")
        self.denoise.check(IMAGES - self.digits.train_rows)
        if both := sorted(set(self.variants) & set(self.denoise.variants)):  # in metrics.json they stand side by side
            raise InputError("params.yaml: denoise.variants", f"must not have the names of variants, got {both[0]}")

    def _check_memory(self, variant: str) -> None:
        """Check a stream of all rows of a split, and what autograd keeps of a batch: one for each layer and norm."""
        chosen, rows = self.variants[variant], self.digits.train_rows
        (stem, *blocks), most = self.streams(variant), max(rows, IMAGES - rows)
        check_numbers(f"variants.{variant}.widths", self.seeds * most * max(stem, *blocks))
        layers = (stem + CONVOLUTIONS[chosen.block] * sum(blocks)) * (2 if chosen.batch_norm else 1)
        check_numbers("train.batch_size", self.seeds * min(self.train.batch_size, rows) * layers)
