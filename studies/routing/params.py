"""What may stand in the params.yaml of this study."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.moons import Spirals, Study
from gradflow.params.sections import (
    Count,
    Section,
    Seed,
    Share,
    VariantName,
    any_block,
    check_numbers,
    check_size,
)
from gradflow.params.starts import Start

Controller = Literal["learned", "learned_from_norm", "learned_jointly"]


class Learning(Section):
    """How controllers learn."""

    epochs: Count
    lr: Annotated[float, Field(gt=0, le=10)]
    network_lr: Annotated[float, Field(gt=0, le=10)]
    penalty: Annotated[float, Field(ge=0, le=1_000_000)]
    seed: Seed


class Routing(Section):
    """How many blocks are run, and what is measured then."""

    shares: Annotated[list[Share], Field(min_length=1, max_length=20)]
    train_rows: Count
    draws: Annotated[int, Field(ge=1, le=100)]
    seed: Seed


class Shown(Section):
    """Which networks the page shows, and how many of their validation rows."""

    variants: Annotated[list[VariantName], Field(min_length=1, max_length=6)]
    rows: Count


class Trained(Start):
    """A network, and how it starts.

    Attributes:
        task: What it learns.
        survival: The probability with which each of its blocks survives a step of training.
        losses: Whether the loss is that behind the last block, or the mean of those behind every block.
        controllers: Those that learn to route it.
    """

    task: Literal["moons", "spirals"]
    survival: Annotated[float, Field(gt=0, le=1)]
    losses: Literal["last", "every"]
    controllers: Annotated[list[Controller], Field(max_length=3)]


if TYPE_CHECKING:
    AnyTrained = Trained
else:
    AnyTrained = any_block(Trained)


class Params(Study):
    """The params.yaml of studies/routing."""

    spirals: Spirals
    variants: Annotated[dict[VariantName, AnyTrained], Field(min_length=1)]
    routing: Routing
    learning: Learning
    shown: Shown

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        check_size(self.variants, self.seeds * self.depth * self.width**2)
        for key, drawn in (("moons", self.moons), ("spirals", self.spirals)):
            drawn.check(key)
            check_numbers(f"{key}.samples", self.seeds * self.depth * drawn.samples * 8)
            check_numbers("train.epochs", self.seeds * self.depth * self.train.epochs * drawn.samples)
            if self.routing.train_rows > drawn.train_rows:
                rule = f"must be <= {drawn.train_rows}, the rows of the train split of {key}"
                raise InputError("params.yaml: routing.train_rows", f"{rule}, got {self.routing.train_rows}")
            if self.shown.rows > drawn.samples - drawn.train_rows:
                rule = f"must be <= {drawn.samples - drawn.train_rows}, the rows of the validation split of {key}"
                raise InputError("params.yaml: shown.rows", f"{rule}, got {self.shown.rows}")
        if self.routing.shares != sorted(set(self.routing.shares)) or self.routing.shares[-1] < 1:
            rule = f"must rise from each number to the next and end with 1.0, got {self.routing.shares}"
            raise InputError("params.yaml: routing.shares", rule)
        for variant, chosen in self.variants.items():
            if chosen.losses == "every" and chosen.survival < 1:
                rule = "must be 1.0 where losses is every"
                raise InputError(f"params.yaml: variants.{variant}.survival", f"{rule}, got {chosen.survival}")
            if len(set(chosen.controllers)) < len(chosen.controllers):
                rule = f"must not name a controller twice, got {chosen.controllers}"
                raise InputError(f"params.yaml: variants.{variant}.controllers", rule)
        for name in self.shown.variants:
            if name not in self.variants:
                raise InputError("params.yaml: shown.variants", f"must be of {', '.join(self.variants)}, got {name!r}")
