"""Families: variants that differ in one parameter alone."""

import json
import re

from gradflow.guards.errors import InputError
from gradflow.recipe import Recipe
from gradflow.tables import configuration


def families(config: Recipe, parameter: str) -> dict[str, dict[str, float | str]]:
    """Families by name, each its variants and their values of the parameter.

    A family is called what its variants are without the value, unless something else is: plain for plain_2 and plain_4.
    Where their names do not end in it, digits are left out, and a single variant keeps its name.

    Args:
        config: Parameters.
        parameter: ``depth``, ``train.KEY`` or a setting of a block. Variants that do not have it are in no family.

    Raises:
        InputError: No variant has it.
    """
    alike: dict[str, dict[str, float | str]] = {}
    for name in config.variants:
        about = configuration.of(config, name)
        about.pop("variant")
        key = parameter.removeprefix("train.")
        place = about if key == "depth" else about["settings"] if key == parameter else about["train"]
        value = place.pop(key, None)
        if isinstance(value, int | float | str):
            alike.setdefault(json.dumps(about, sort_keys=True), {})[name] = value
    if not alike:
        raise InputError(
            "params.yaml: plot.against",
            f"must be depth, train.KEY or a setting of a block that a variant has, got {parameter!r}",
        )
    found: dict[str, dict[str, float | str]] = {}
    for members in alike.values():
        first = next(iter(members))
        stems = {_without(variant, value) for variant, value in members.items()}
        name = stems.pop() if len(stems) == 1 else first.rstrip("_-0123456789")
        found[first if not name or name in {*found, *config.variants} else name] = members
    return found


def _without(variant: str, value: float | str) -> str:
    """The name of a variant without the value at its end, if that stands there."""
    return re.sub(rf"[_-]*(?<![0-9.]){re.escape(str(value))}$", "", variant)
