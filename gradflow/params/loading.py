"""Reading a params.yaml and checking it by the rules of its pipeline."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gradflow.params import explain, reading
from gradflow.params.sections import Parameters

Model = TypeVar("Model", bound=Parameters)


def load(model: type[Model], path: Path = Path("params.yaml")) -> Model:
    """Read and check the parameters.

    Args:
        model: Their keys and rules.
        path: The file.

    Raises:
        InputError: The file is missing, is no YAML, or breaks a rule; names file, key, rule and value.
    """
    document = reading.read(path)
    try:
        params = model.model_validate(document)
    except ValidationError as errors:
        raise explain.refusal(path, errors, document, model) from None
    params.check()
    return params
