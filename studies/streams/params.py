"""What may stand in the params.yaml of this study."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.sections import (
    Count,
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
from studies.streams.twin.params import Twin

Placement = Literal["pre", "post", "peri", "none"]
Rate = Annotated[float, Field(gt=0, le=10)]
Tokens = Annotated[int, Field(ge=2, le=256)]


class Sequences(Section):
    """A block of distinct tokens, repeated.

    Attributes:
        tokens: How many there are.
        positions: Tokens that a network reads.
        shortest: Smallest period.
        longest: Largest one.
        validation: Sequences to validate on.
        seed: Of those that are not for training.
    """

    tokens: Tokens
    positions: Annotated[int, Field(ge=2, le=256)]
    shortest: Tokens
    longest: Tokens
    validation: Count
    seed: Seed


class Train(Section):
    """What all trainings have in common."""

    batch_size: Count
    every: Count
    clip_norm: Annotated[float, Field(gt=0)] | None
    seed: Seed


class Trained(Section):
    """A network, how it starts, and how fast it learns.

    Attributes:
        placement: Where the norms of its sublayers stand.
        skip: Whether the stream goes past them.
        scale: Factor on what they add.
        depth_over: It has depth / depth_over layers, at least one.
        init: How its weights are drawn.
        lr: Learning rate of AdamW.
        warmup: Steps in which it rises.
        steps: Of the training.
    """

    placement: Placement
    skip: bool
    scale: Annotated[float, Field(gt=0, le=100)]
    depth_over: Annotated[int, Field(ge=1, le=200)]
    init: Init
    lr: Rate
    warmup: Annotated[int, Field(ge=0, le=100_000)]
    steps: Count


class Measure(Section):
    """On how much is measured, and how the tuned lens learns.

    Attributes:
        sequences: Streams, gradients and lenses are measured on that many; the tuned lens learns on as many others.
        lens_steps: Of its training.
        lens_lr: Of Adam.
        patched: Pairs of sequences, one of which is corrupted.
    """

    sequences: Count
    lens_steps: Count
    lens_lr: Rate
    patched: Count


class Params(Parameters):
    """The params.yaml of studies/streams."""

    depth: Annotated[int, Field(ge=1, le=200)]
    width: Width
    heads: Annotated[int, Field(ge=1, le=256)]
    seeds: Seeds
    sequences: Sequences
    train: Train
    variants: Annotated[dict[VariantName, Trained], Field(min_length=1)]
    measure: Measure
    twin: Twin

    def layers(self, variant: str) -> int:
        """How many layers of two sublayers a network has."""
        return max(1, self.depth // self.variants[variant].depth_over)

    def described(self, variant: str) -> dict[str, Any]:
        """What a network is, as :func:`gradflow.kit.building.build` reads it, and how it starts."""
        chosen, about = self.variants[variant], self.sequences
        settings: dict[str, Any] = {"tokens": about.tokens, "positions": about.positions, "heads": self.heads}
        settings |= {"skip": chosen.skip, "scale": chosen.scale}
        found: dict[str, Any] = {"network": "transformer", "block": chosen.placement, "settings": settings}
        return found | {"widths": None, "depth": self.layers(variant), "width": self.width, "init": chosen.init}

    def trained(self, variant: str) -> dict[str, Any]:
        """What a checkpoint says of a network: what it is, how many there are, and how they were trained."""
        chosen = self.variants[variant].model_dump(include={"lr", "warmup", "steps"})
        found = self.described(variant) | {"seeds": self.seeds, "train": self.train.model_dump() | chosen}
        return found | {"sequences": self.sequences.model_dump()}

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        self.twin.check()
        about = self.sequences
        if self.width % self.heads:
            raise InputError("params.yaml: heads", f"must divide width {self.width}, got {self.heads}")
        if about.shortest > about.longest:
            rule = f"must be <= longest {about.longest}"
            raise InputError("params.yaml: sequences.shortest", f"{rule}, got {about.shortest}")
        if about.longest >= about.tokens:
            rule = f"must be < tokens {about.tokens}, so that one is left to put in"
            raise InputError("params.yaml: sequences.longest", f"{rule}, got {about.longest}")
        if about.longest >= about.positions:
            rule = f"must be > longest {about.longest}, so that a second copy begins"
            raise InputError("params.yaml: sequences.positions", f"{rule}, got {about.positions}")
        check_size(self.variants, self.seeds * 12 * self.depth * self.width**2)
        rows = about.positions * max(self.train.batch_size, about.validation, 2 * self.measure.sequences)
        check_numbers("width", self.seeds * rows * self.width * self.depth * 2)
        streams, copies = 2 * (2 * self.depth + 1), about.positions + 1  # copies are four times as wide inside a block
        check_numbers("measure.patched", self.measure.patched * about.positions * self.width * (streams + 4 * copies))
        for name in self.twin.variants:
            if f"twin_{name}" in self.variants:  # in metrics.json and in MLflow they stand side by side
                rule = "must not be twin_ and the name of a variant of the twin"
                raise InputError("params.yaml: variants", f"{rule}, got twin_{name}")
        for name, chosen in self.variants.items():
            if chosen.steps % self.train.every:
                rule = f"must be a multiple of train.every {self.train.every}"
                raise InputError(f"params.yaml: variants.{name}.steps", f"{rule}, got {chosen.steps}")
            if chosen.warmup > chosen.steps:
                rule = f"must be <= steps {chosen.steps}"
                raise InputError(f"params.yaml: variants.{name}.warmup", f"{rule}, got {chosen.warmup}")
