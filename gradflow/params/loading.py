"""Reading a params.yaml and checking it by the rules of its pipeline."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gradflow.guards.errors import InputError
from gradflow.params import explain, reading
from gradflow.params.sections import Parameters

Model = TypeVar("Model", bound=Parameters)


def load(model: type[Model], path: Path = Path("params.yaml"), largest: int = reading.LARGEST) -> Model:
    """Read and check the parameters.

    Args:
        model: Their keys and rules.
        path: The file.
        largest: Bytes that it may have.

    Raises:
        InputError: The file is missing, is no YAML, or breaks a rule; names file, key, rule and value.
    """
    document = reading.read(path, largest)
    try:
        params = model.model_validate(document)
    except ValidationError as errors:
        raise explain.refusal(path, errors, document, model) from None
    params.check()
    return params


def of_stage(stage: str, variants: Iterable[str]) -> str:
    """The variant that a stage is for.

    Args:
        stage: What DVC calls the stage, train@VARIANT, or VARIANT alone.
        variants: Those of the params.yaml.

    Raises:
        InputError: It is none of them.
    """
    variant = stage.rpartition("@")[2]
    if variant not in variants:
        raise InputError("params.yaml: variants", f"must have an entry {variant!r}, got {', '.join(variants)}")
    return variant
