"""The configuration of a training, which its checkpoint and its facts carry."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradflow.guards.errors import RunError

if TYPE_CHECKING:  # whose rules need the values of each variant
    from gradflow.recipe import Recipe


def own(config: "Recipe", variant: str) -> "Recipe":
    """The parameters as one variant takes them: its own values stand in ``depth`` and ``train``."""
    values = config.variants[variant]
    train = config.train.model_copy(update={key: getattr(values.train, key) for key in values.train.model_fields_set})
    return config.model_copy(update={"depth": values.depth or config.depth, "train": train})


def of(config: "Recipe", variant: str) -> dict[str, Any]:
    """What params.yaml says of the training of a variant, in plain JSON values."""
    chosen, with_own = config.variants[variant], own(config, variant)
    return {
        "variant": variant,
        "network": "mlp",
        "block": chosen.block,
        "settings": chosen.settings(),
        "depth": with_own.depth,
        "width": config.width,
        "widths": chosen.widths,
        "seeds": config.seeds,
        "train": with_own.train.model_dump(),
    }


def check(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Check that a file belongs to these parameters.

    Args:
        path: The file.
        found: The configuration that it carries.
        wanted: From :func:`of`.

    Raises:
        RunError: It belongs to others.
    """
    carried = dict(_flat({section: found[section] for section in wanted if section in found}))
    says = dict(_flat(wanted))
    for key in [*says, *carried]:
        was, value = carried.get(key, "nothing"), says.get(key, "nothing")
        if (type(was), was) != (type(value), value):  # 20.0 and True are no depth, though they equal one
            raise RunError(f"{path}: was trained with {key} {was}, params.yaml says {value}; run `dvc repro`")


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
