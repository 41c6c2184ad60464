"""JSON documents, whose content is checked when they are read."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gradflow.guards import manifest


class Document(BaseModel):
    """The keys that are read, with their types; a document may have others."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


def read(path: Path, form: Any) -> Any:
    """A JSON document.

    Args:
        path: The file.
        form: The type that it must have, made of what pydantic knows.

    Raises:
        RunError: It is missing, damaged or something else.
    """
    manifest.check(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise manifest.unusable(path, error) from None
    if wrong := fault(document, form):
        raise manifest.unusable(path, wrong)
    return document


def fault(document: object, form: Any) -> str:
    """What is wrong with a document of that form, in words; empty if nothing is."""
    try:
        TypeAdapter(form).validate_python(document, strict=True)
    except ValidationError as errors:
        first = errors.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: " * bool(where) + first["msg"].lower()
    return ""


def read_by_variant(path: Path, form: Any, variants: Iterable[str]) -> dict[str, Any]:
    """A JSON document with an entry of that form for each of these variants; for errors see :func:`read`."""
    document: dict[str, Any] = read(path, dict[str, form])
    if set(document) != set(variants):
        raise manifest.unusable(path, f"must hold {', '.join(variants)}, got {', '.join(document)}")
    return document
