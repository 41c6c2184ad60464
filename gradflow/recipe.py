"""What may stand in the params.yaml of the recipe, the pipeline on a data set of two classes: its keys and rules."""

import math
from collections.abc import Collection
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model

from gradflow.guards.errors import InputError
from gradflow.kit.widths import of_streams
from gradflow.params import catalogue
from gradflow.params.sections import (
    Count,
    Depth,
    Init,
    Parameters,
    Section,
    Seed,
    Seeds,
    Text,
    Variant,
    VariantName,
    Width,
    any_block,
    check_numbers,
    check_size,
)
from gradflow.tables import configuration


class Data(Section):
    """Where the rows come from."""

    source: Literal["sklearn", "hub", "file"]
    path: Text
    revision: Text | None
    samples: Annotated[int, Field(ge=20, le=10_000_000)]
    noise: Annotated[float, Field(ge=0, le=1000)]
    seed: Seed


class Split(Section):
    """How the rows are divided."""

    validation: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed


class Transfer(Section):
    """The depth and width at which the learning rate was found, and CompleteP's exponent of the depth."""

    depth: Depth
    width: Width
    exponent: Annotated[float, Field(ge=0, le=1)]


class Train(Section):
    """How a network is trained. The keys with a default came later than the others."""

    epochs: Count
    batch_size: Annotated[int, Field(ge=1)]
    # Not in files where it has its default: they are then what they were before there was such a key.
    order: Literal["shared", "own"] = Field("shared", exclude_if=lambda order: order == "shared")
    optimizer: Literal["sgd", "adam", "adamw"]
    lr: Annotated[float, Field(gt=0, le=10_000)]
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    transfer: Transfer | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Annotated[float, Field(gt=0)] | None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    loss_scale: Annotated[float, Field(gt=0, le=2**24)] = 1.0
    init: Init
    seed: Seed


if TYPE_CHECKING:
    Overrides = Section
else:  # the rules are those of Train; variants that share epochs, batches and seeds can be compared step by step
    Overrides = create_model(
        "Overrides",
        __base__=Section,
        **{
            name: (field.rebuild_annotation(), None)  # what is not set counts as absent, not as None
            for name, field in Train.model_fields.items()
            if name not in ("epochs", "batch_size", "order", "seed")
        },
    )


class Trained(Variant):
    """A network that may have its own ``depth``, ``widths`` and keys of ``train`` instead of the common ones.

    ``widths``: units of the stream. The depth is divided into as many equal parts as there are widths.
    """

    depth: Depth | None = None
    widths: Annotated[list[Width], Field(min_length=1)] | None = None
    train: Overrides = Overrides()


class Probe(Section):
    """When and on how many rows the networks are measured."""

    samples: Annotated[int, Field(ge=2)]
    every: Count


class Analysis(Section):
    """What counts as vanished, and what as learnt."""

    vanished_below: Annotated[float, Field(gt=0)]
    learnt_below: Annotated[float, Field(gt=0)] = 0.35


class Plot(Section):
    """How figures are written."""

    dpi: Annotated[int, Field(ge=50, le=1200)]
    against: Text | None = None


if TYPE_CHECKING:
    AnyVariant = Trained
else:
    AnyVariant = any_block(Trained)


class Recipe(Parameters):
    """The whole of the params.yaml of the pipeline on a data set of two classes."""

    depth: Depth
    width: Width
    seeds: Seeds
    data: Data
    split: Split
    train: Train
    variants: Annotated[dict[VariantName, AnyVariant], Field(min_length=1)]
    probe: Probe
    analysis: Analysis
    plot: Plot

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        sizes = {
            name: configuration.own(self, name).depth * max(own.widths or [self.width]) ** 2
            for name, own in self.variants.items()
        }
        check_size(self.variants, self.seeds * max(sizes.values()))
        for name, own in self.variants.items():
            chosen = configuration.own(self, name)
            _check_widths(f"params.yaml: variants.{name}.widths", own, chosen.depth)
            _check_transfer(name, own, chosen.train)
        if self.data.source == "sklearn":  # the rows of other sources are known only when they are fetched
            half = self.data.samples // 2
            self.check_rows([half, self.data.samples - half])

    def check_rows(self, classes: Collection[int]) -> None:
        """Check that a data set with that many rows of each class can be split, batched and probed.

        Raises:
            InputError: It cannot; names the key to change.
        """
        rows = sum(classes)
        train = train_rows(rows, self.split.validation)
        for of_class in classes:  # a stratified split takes its share of each, rounded up or down
            if not 1 <= of_class * train // rows <= -(-of_class * train // rows) < of_class:
                raise InputError(
                    "params.yaml: split.validation",
                    f"must leave rows of each class on both sides, got {self.split.validation} of {of_class} rows",
                )
        self.check_batches(train)

    def check_batches(self, train: int) -> None:
        """Check that a train split of that many rows can be batched and probed.

        Raises:
            InputError: It cannot; names the keys to change.
        """
        asked = {"train.batch_size": self.train.batch_size, "probe.samples": self.probe.samples}
        too_many = {key: str(rows) for key, rows in asked.items() if rows > train}
        if too_many:
            keys, got = (" and ".join(each) for each in (too_many, too_many.values()))
            raise InputError(f"params.yaml: {keys}", f"must be <= {train}, the rows of the train split, got {got}")
        if self.train.order == "own":
            check_numbers("seeds", self.seeds * train)


def _check_transfer(name: str, own: Trained, train: Train) -> None:
    """Check that CompleteP has rules for what a variant asks for."""
    if train.transfer is None:
        return
    if train.optimizer == "sgd":
        key = f"variants.{name}.train.transfer" if "transfer" in own.train.model_fields_set else "train.transfer"
        raise InputError(f"params.yaml: {key}", "must be null with sgd: its rules are those of adam and adamw")
    if own.widths:
        raise InputError(
            f"params.yaml: variants.{name}.widths", "must be null with train.transfer, which has one width"
        )


def _check_widths(where: str, variant: Trained, depth: int) -> None:
    widths = variant.widths or [0]
    if len(widths) > depth:
        raise InputError(where, f"must have at most {depth} entries, one a block, got {len(widths)}")
    streams = of_streams(widths, depth)
    for index, (width, out) in enumerate(pairwise(streams), start=1):
        if width != out and not catalogue.changes_width(variant.block):
            raise InputError(
                where,
                f"must be of one width for {variant.block} blocks, which do not project their stream, got {width} to"
                f" {out} at block {index}",
            )


def train_rows(rows: int, validation: float) -> int:
    """Rows of the train split, rounded as scikit-learn's ``train_test_split`` does."""
    return rows - math.ceil(rows * validation)
