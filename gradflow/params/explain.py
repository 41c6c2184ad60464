"""The one-line message for a broken rule, made from pydantic's report: file, key, rule and value."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gradflow.guards.errors import InputError, shown
from gradflow.params import catalogue

# pydantic's types of errors, in this project's words
_RULES = {
    "bool_type": "must be true or false",
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
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must not be empty",
    "string_too_long": "must be no longer than {max_length} characters",
    "string_type": "must be text",
    "string_unicode": "must be text",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
}


def refusal(path: Path, errors: ValidationError, document: Mapping[Any, Any], model: type[BaseModel]) -> InputError:
    """The error to raise.

    Args:
        path: The file.
        errors: What pydantic found in it.
        document: What it holds.
        model: Its keys and rules.
    """
    # A misspelt key is also a missing one: the misspelling says more.
    first = min(errors.errors(include_url=False), key=lambda error: error["type"] != "extra_forbidden")
    return _explained(path, first, document, model)


def _explained(path: Path, error: ErrorDetails, document: Mapping[Any, Any], model: type[BaseModel]) -> InputError:
    location, kind, context, value = [*error["loc"]], error["type"], error.get("ctx", {}), error["input"]
    # The error of a key, which is text, ends in that key and [key]; a key may also be spelt so.
    if kind.startswith("string_") and location[-1] == "[key]" and location[-2] in (value, str(value)):
        del location[-1]
    # Within a variant the location also names the block it was checked as.
    if len(location) > 3 and _holds_variants(location[0], model):
        del location[2]
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
    return InputError(f"{path}: {_dotted(location)}", f"{rule}, got {shown(value)}")


def _nearest(key: str, known: list[str], model: type[BaseModel]) -> str | None:
    """The key that was meant: one spelt alike in the same section, or one spelt so in another."""
    sections = model.model_fields.items()
    elsewhere = [f"{name}.{key}" for name, field in sections if key in getattr(field.annotation, "model_fields", ())]
    return next(iter(difflib.get_close_matches(key, known, n=1) + elsewhere), None)


def _known_keys(section: list[int | str], document: Mapping[Any, Any], model: type[BaseModel]) -> list[str]:
    """The keys that may stand in a section."""
    match section:
        case [top, name, *inside] if _holds_variants(top, model):
            section = inside
            block = next(held for key, held in document[top].items() if name in (key, str(key)))["block"]
            choices = _models(model.model_fields[str(top)].annotation)
            model = next(m for m in choices if get_args(m.model_fields["block"].annotation) == (block,))
    for key in section:  # one that is no field is a name that the user chose, in a section of such names
        field = model.model_fields.get(str(key))
        model = _models(field.annotation)[0] if field else model
    return list(model.model_fields)


def _holds_variants(key: int | str, model: type[BaseModel]) -> bool:
    """Whether a section holds networks by name, each checked as one of the model of its block."""
    field = model.model_fields.get(str(key))
    return field is not None and any("block" in each.model_fields for each in _models(field.annotation))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _dotted(location: list[int | str]) -> str:
    return ".".join(str(part) if len(str(part)) <= 60 else f"{str(part)[:57]}..." for part in location)
