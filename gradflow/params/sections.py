"""The parts that every params.yaml is made of: types of values, sections, variants, and the limits of memory."""

import operator
import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from gradflow.guards.errors import InputError
from gradflow.params import catalogue

# The name of a variant becomes a file name, a DVC stage name and a word in figures.
VARIANT_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
Seed = Annotated[int, Field(ge=0, le=2**31)]
MOST_WEIGHTS = 10**9  # of all seeds of a variant; a training takes some 20 bytes for each, saving its state as many
Count = Annotated[int, Field(ge=1, le=100_000)]
Depth = Annotated[int, Field(ge=1, le=10_000)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Seeds = Annotated[int, Field(ge=1, le=10_000)]
Share = Annotated[float, Field(gt=0, le=1)]
Init = Literal["default", "he", "he_over_sqrt_depth", "xavier", "orthogonal", "lecun", "gpt2"]
MOST_NUMBERS = 10**8  # of one quantity that is held for all seeds, layers and samples at once, in float64


def _plain(value: object) -> object:
    """Refuse what is no text to DVC, and what a terminal would take for something else."""
    if isinstance(value, int | float | date):  # 12e4567 may be a commit, 2026-01-31 the name of a branch
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
    """The whole of a params.yaml. Each kind of pipeline has a subclass with its own keys."""

    def check(self) -> None:
        """Check the rules that involve several keys.

        Raises:
            InputError: Values do not go together; names the key to change.
        """


class Variant(Section):
    """One network: its block and the settings of that block, which :func:`settings` returns."""

    block: str

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for the constructor of the block."""
        return self.model_dump(include=set(catalogue.settings(self.block)))


def any_block(base: type[Variant]) -> Any:
    """The type of a variant: one model a block, with the settings of that block; the key "block" decides."""
    models = [
        create_model(  # type: ignore[call-overload]  # fields that are known only here
            f"{base.__name__}_{name}", __base__=base, block=(Literal[name], ...), **catalogue.settings(name)
        )
        for name in catalogue.names()
    ]
    return Annotated[reduce(operator.or_, models), Field(discriminator="block")]


def check_size(variants: Collection[str], weights: int, *, key: str = "variants", width: str = "width") -> None:
    """Check that no two variants share their files, and that a network of that many weights fits into memory.

    Args:
        variants: Their names.
        weights: Of all seeds of the largest one.
        key: Where the variants stand in params.yaml.
        width: Where the width stands.

    Raises:
        InputError: They do, or it does not; names the key to change.
    """
    times = Counter(name.lower() for name in variants)
    twice = next((name for name in variants if times[name.lower()] > 1), None)
    if twice:  # some file systems do not tell upper from lower case
        raise InputError(f"params.yaml: {key}", f"must differ in more than upper and lower case, got {twice}")
    if weights > MOST_WEIGHTS:
        raise InputError(
            f"params.yaml: {width}", f"must keep seeds * depth * width^2 <= {MOST_WEIGHTS:,}, got {weights:,}"
        )


def check_rising(key: str, values: Sequence[float]) -> None:
    """Check that each number is larger than the one before it.

    Raises:
        InputError: They are not; names the key to change.
    """
    if list(values) != sorted(set(values)):
        raise InputError(f"params.yaml: {key}", f"must rise from each number to the next, got {values}")


def check_numbers(key: str, numbers: int) -> None:
    """Check that what a study holds at once fits into memory.

    Raises:
        InputError: It does not; names the key to change.
    """
    if numbers > MOST_NUMBERS:
        raise InputError(
            f"params.yaml: {key}", f"must keep what is held at once <= {MOST_NUMBERS:,} numbers, got {numbers:,}"
        )
