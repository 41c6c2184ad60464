"""What may stand in params.yaml: every key, its type and its rule, and the one line said when one is broken."""

import difflib
import math
import operator
import re
import reprlib
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, overload

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from gradflow import catalogue
from gradflow.errors import InputError

# The name of a variant becomes a file name, a DVC stage name and a word in figures.
VariantName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
Seed = Annotated[int, Field(ge=0, le=2**31)]
MOST_WEIGHTS = 10**9  # of all seeds of a variant; a training takes some 20 bytes for each
Count = Annotated[int, Field(ge=1, le=100_000)]
Depth = Annotated[int, Field(ge=1, le=10_000)]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, brought to agree with DVC, which reads YAML 1.2, or to leave text that is then refused.

    PyYAML alone would take 020 for 16, 1:30 for 90 and on for true. DVC writes 0.00001 as 1e-05. No key
    may stand twice.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  # a class variable of PyYAML, not declared as one

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys all differ."""
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} stands twice", problem_mark=key.start_mark
                )
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|-?[1-9]e[-+][0-9]{2,3}", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


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
    path: Annotated[str, Field(min_length=1, max_length=1000)]
    revision: str | None
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
    names = [name.lower() for name in variants]
    twice = next((name for name in variants if names.count(name.lower()) > 1), None)
    if twice:  # some file systems do not tell upper from lower case
        raise InputError("params.yaml: variants", f"must differ in more than upper and lower case, got {twice}")
    if weights > MOST_WEIGHTS:
        raise InputError(
            "params.yaml: width", f"must keep seeds * depth * width^2 <= {MOST_WEIGHTS:,}, got {weights:,}"
        )


def train_rows(rows: int, validation: float) -> int:
    """Rows of the train split, rounded as scikit-learn's ``train_test_split`` does."""
    return rows - math.ceil(rows * validation)


def read(path: Path) -> Mapping[str, Any]:
    """Read the parameters as they are written, whichever rules they obey.

    Raises:
        InputError: The file is missing or is no YAML of keys and values.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a SafeLoader
    except FileNotFoundError:
        raise InputError(str(path), "no such file; run this where params.yaml lies") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError(str(path), "is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise InputError(
            f"{path}{place}", f"is not readable YAML: {getattr(error, 'problem', None) or error}"
        ) from None
    if not isinstance(document, Mapping):
        raise InputError(str(path), f"must hold keys and values, got {reprlib.repr(document)}")
    return document


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
    document = read(path)
    try:
        params = model.model_validate(document)
    except ValidationError as errors:
        # A misspelt key is also a missing one: the misspelling says more.
        first = min(errors.errors(include_url=False), key=lambda error: error["type"] != "extra_forbidden")
        raise _explain(path, first, document, model) from None
    params.check()
    return params


# pydantic's types of errors, said in this project's words
_RULES = {
    "dict_type": "must hold keys and values",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be > {gt:g}",
    "greater_than_equal": "must be >= {ge:.15g}",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of reasonable size",
    "int_type": "must be a whole number",
    "invalid_key": "must be text",
    "less_than": "must be < {lt:g}",
    "less_than_equal": "must be <= {le:.15g}",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must hold keys and values",
    "model_type": "must hold keys and values",
    "string_pattern_mismatch": "must be a letter followed by up to 39 letters, digits, _ or -",
    "string_too_short": "must not be empty",
    "string_too_long": "must be no longer than {max_length} characters",
    "string_type": "must be text",
    "too_short": "must not be empty",
}


def _explain(path: Path, error: ErrorDetails, document: Mapping[Any, Any], model: type[Parameters]) -> InputError:
    """Turn pydantic's report into one line naming file, key, rule and value."""
    # A key's own error ends in [key]; within a variant the location also names the block it was checked as.
    location = [part for part in error["loc"] if part != "[key]"]
    if location[:1] == ["variants"] and len(location) > 3:
        del location[2]
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1], document, model)
        nearest = _nearest(str(location[-1]), known, model)
        meant = f"; did you mean {nearest}?" if nearest else "."
        return InputError(f"{path}: {_dotted(location)}", f"unknown key{meant} Known: {', '.join(known)}")
    if kind == "union_tag_invalid":
        location, value = [*location, "block"], value["block"]
        rule = f"must be one of {', '.join(catalogue.names())}"
    elif kind in ("missing", "union_tag_not_found"):
        location += ["block"] * (kind == "union_tag_not_found")
        return InputError(f"{path}: {_dotted(location)}", "is missing")
    else:
        rule = _RULES.get(kind, error["msg"]).format(**context)
    return InputError(f"{path}: {_dotted(location)}", f"{rule}, got {reprlib.repr(value)}{_written_out(kind, value)}")


def _nearest(key: str, known: list[str], model: type[Parameters]) -> str | None:
    """The key that was meant: one spelt alike in the same section, or one spelt so in another."""
    sections = model.model_fields.items()
    elsewhere = [f"{name}.{key}" for name, field in sections if key in getattr(field.annotation, "model_fields", ())]
    return next(iter(difflib.get_close_matches(key, known, n=1) + elsewhere), None)


def _known_keys(section: list[int | str], document: Mapping[Any, Any], model: type[BaseModel]) -> list[str]:
    """The keys that may stand in a section."""
    match section:
        case ["variants", name, *section]:
            block = document["variants"][name]["block"]
            choices = _models(model.model_fields["variants"].annotation)
            model = next(m for m in choices if get_args(m.model_fields["block"].annotation) == (block,))
    for key in section:  # one that is no field is a name that the user chose, in a section of such names
        field = model.model_fields.get(str(key))
        model = _models(field.annotation)[0] if field else model
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _written_out(kind: str, value: object) -> str:
    """YAML 1.1 reads 1e-3 as text: say how to write the number."""
    try:
        number = float(value) if kind == "float_type" and isinstance(value, str) else math.nan
    except ValueError:
        number = math.nan
    return f": write {Decimal(str(value)):f}" if math.isfinite(number) else ""


def _dotted(location: list[int | str]) -> str:
    return ".".join(str(part) if len(str(part)) <= 60 else f"{str(part)[:57]}..." for part in location)
