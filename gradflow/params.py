"""What may stand in params.yaml: every key, its type and its rule."""

import math
import operator
import re
from collections import Counter
from collections.abc import Collection
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, overload

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from gradflow import catalogue, explain, yaml12
from gradflow.errors import InputError

# The name of a variant becomes a file name, a DVC stage name and a word in figures.
VARIANT_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
Seed = Annotated[int, Field(ge=0, le=2**31)]
MOST_WEIGHTS = 10**9  # of all seeds of a variant; a training takes some 20 bytes for each, saving its state as many
Count = Annotated[int, Field(ge=1, le=100_000)]
Depth = Annotated[int, Field(ge=1, le=10_000)]


def _plain(value: object) -> object:
    """Refuse text that DVC or a terminal would take for something else."""
    if isinstance(value, yaml12.Unclear):
        raise PydanticCustomError("unclear", "must be text: put it into quotes")
    if isinstance(value, str) and re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        raise PydanticCustomError("control_characters", "must not hold control characters")
    return value


def _named(name: str) -> str:
    """Refuse what is no name of a variant, in words instead of the pattern."""
    if not re.fullmatch(VARIANT_NAME, name):
        raise PydanticCustomError(
            "string_variant_name", "must be a letter followed by up to 39 letters, digits, _ or -"
        )
    return name


VariantName = Annotated[str, AfterValidator(_named)]
Text = Annotated[str, Field(min_length=1, max_length=1000), BeforeValidator(_plain)]


class Section(BaseModel):
    """Strict: no unknown keys, no text for numbers, no nan or inf."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Parameters(Section):
    """The whole of a params.yaml; a pipeline whose keys are its own has a model of its own."""

    def check(self) -> None:
        """Check what no rule of a single key can say.

        Raises:
            InputError: Values do not go together; names the key to change.
        """


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


class Train(Section):
    """How a network is trained."""

    epochs: Count
    batch_size: Annotated[int, Field(ge=1)]
    optimizer: Literal["sgd"]
    lr: Annotated[float, Field(gt=0, le=10_000)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Annotated[float, Field(gt=0)] | None
    init: Literal["default", "he"]
    seed: Seed


class Variant(Section):
    """One network: its block and the settings of that block, which :func:`settings` returns."""

    block: str

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for the constructor of the block."""
        return self.model_dump(include=set(catalogue.settings(self.block)))


if TYPE_CHECKING:
    Overrides = Section
else:  # the rules are those of Train; variants that share epochs, batches and seeds can be compared step by step
    Overrides = create_model(
        "Overrides",
        __base__=Section,
        **{
            name: (field.rebuild_annotation(), None)  # what is not set counts as absent, not as None
            for name, field in Train.model_fields.items()
            if name not in ("epochs", "batch_size", "seed")
        },
    )


class Trained(Variant):
    """A network with what replaces ``depth`` and keys of ``train`` for it alone."""

    depth: Depth | None = None
    train: Overrides = Overrides()


class Probe(Section):
    """When and on how many rows the networks are measured."""

    samples: Annotated[int, Field(ge=2)]
    every: Count


class Analysis(Section):
    """What counts as vanished."""

    vanished_below: Annotated[float, Field(gt=0)]


class Plot(Section):
    """How figures are written."""

    dpi: Annotated[int, Field(ge=50, le=1200)]


def any_block(base: type[Variant]) -> Any:
    """The type of a variant: one model a block, with the settings of that block; the key "block" decides."""
    models = [
        create_model(  # type: ignore[call-overload]  # fields that are known only here
            f"{base.__name__}_{name}", __base__=base, block=(Literal[name], ...), **catalogue.settings(name)
        )
        for name in catalogue.names()
    ]
    return Annotated[reduce(operator.or_, models), Field(discriminator="block")]


if TYPE_CHECKING:
    AnyVariant = Trained
else:
    AnyVariant = any_block(Trained)


class Params(Parameters):
    """The whole of the params.yaml of the pipeline on a data set of two classes."""

    depth: Depth
    width: Annotated[int, Field(ge=1, le=16_384)]
    seeds: Annotated[int, Field(ge=1, le=10_000)]
    data: Data
    split: Split
    train: Train
    variants: Annotated[dict[VariantName, AnyVariant], Field(min_length=1)]
    probe: Probe
    analysis: Analysis
    plot: Plot

    def of(self, variant: str) -> "Params":
        """The parameters as one variant takes them: its own values stand in ``depth`` and ``train``."""
        own = self.variants[variant]
        train = self.train.model_copy(update=own.train.model_dump(exclude_unset=True))
        return self.model_copy(update={"depth": own.depth or self.depth, "train": train})

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        depth = max(self.of(name).depth for name in self.variants)
        check_size(self.variants, self.seeds * depth * self.width**2)
        if self.data.source == "sklearn":  # other sources tell their rows only when they are fetched
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
            InputError: It cannot; names the key to change.
        """
        for key, value in (("train.batch_size", self.train.batch_size), ("probe.samples", self.probe.samples)):
            if value > train:
                raise InputError(f"params.yaml: {key}", f"must be <= {train}, the rows of the train split, got {value}")


def check_size(variants: Collection[str], weights: int) -> None:
    """Check that no two variants share their files, and that a network of that many weights fits into memory.

    Raises:
        InputError: They do, or it does not; names the key to change.
    """
    times = Counter(name.lower() for name in variants)
    twice = next((name for name in variants if times[name.lower()] > 1), None)
    if twice:  # some file systems do not tell upper from lower case
        raise InputError("params.yaml: variants", f"must differ in more than upper and lower case, got {twice}")
    if weights > MOST_WEIGHTS:
        raise InputError(
            "params.yaml: width", f"must keep seeds * depth * width^2 <= {MOST_WEIGHTS:,}, got {weights:,}"
        )


def train_rows(rows: int, validation: float) -> int:
    """Rows of the train split, rounded as scikit-learn's ``train_test_split`` does."""
    return rows - math.ceil(rows * validation)


# What a params.yaml is read as: a study may have a model of its own.
Model = TypeVar("Model", bound=Parameters)


@overload
def load(path: Path = Path("params.yaml")) -> Params: ...
@overload
def load(path: Path = Path("params.yaml"), *, model: type[Model]) -> Model: ...
def load(path: Path = Path("params.yaml"), *, model: type[Parameters] = Params) -> Parameters:
    """Read and check the parameters.

    Args:
        path: The file.
        model: Its keys and rules.

    Raises:
        InputError: The file is missing, is no YAML, or breaks a rule; names file, key, rule and value.
    """
    document = yaml12.read(path)
    try:
        params = model.model_validate(document)
    except ValidationError as errors:
        raise explain.refusal(path, errors, document, model) from None
    params.check()
    return params
