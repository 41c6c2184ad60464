"""Families: variants that differ in one parameter alone."""

import json

from gradflow.guards.errors import InputError
from gradflow.recipe import Recipe
from gradflow.tables import configuration


def families(config: Recipe, parameter: str) -> dict[str, dict[str, float | str]]:
    """Families by name, each its variants and their values of the parameter.

    A family of plain_2 and plain_4 is called plain, unless something else is; one of a single variant has its name.

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
        first, *others = members
        name = first.rstrip("_-0123456789") if others else first
        found[first if name in {*found, *config.variants} else name] = members
    return found
