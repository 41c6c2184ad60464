"""The blocks and instruments there are, found by their files.

``gradflow/blocks/<name>.py`` holds one ``Block``, whose settings are the keyword-only arguments of its
constructor; ``gradflow/instruments/<name>.py`` holds ``COLUMNS`` and ``measure``. Both are read from the
source text, so that params.yaml can be checked without the seconds that importing torch costs.
"""

import ast
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gradflow.trace import Trace

_INSTRUMENTS = Path(__file__).parent / "instruments"
_BLOCKS = Path(__file__).parent / "blocks"
_TYPES: dict[str, type] = {"float": float, "int": int, "bool": bool}
_TAKEN = ("block", "depth", "init", "train")


def names() -> list[str]:
    """Names of all blocks, in alphabetical order."""
    return sorted(path.stem for path in _BLOCKS.glob("*.py") if path.stem != "__init__")


@cache
def settings(name: str) -> dict[str, tuple[type, Any]]:
    """Settings of a block: name to (type, default).

    Raises:
        TypeError: A setting is not a float, int or bool with a literal default, or has the name of another key
            of a variant.
    """
    tree = ast.parse((_BLOCKS / f"{name}.py").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Block")
    init = next(n for n in block.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    found: dict[str, tuple[type, Any]] = {}
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        kind = argument.annotation.id if isinstance(argument.annotation, ast.Name) else ""
        if kind not in _TYPES or default is None:
            raise TypeError(f"blocks/{name}.py: {argument.arg} must be a float, int or bool with a default")
        if argument.arg in _TAKEN:
            raise TypeError(f"blocks/{name}.py: {argument.arg} is the name of another key of a variant")
        found[argument.arg] = (_TYPES[kind], ast.literal_eval(default))
    return found


def block(name: str) -> "Callable[..., nn.Module]":
    """The ``Block`` class of that name, to be called with width, linear and its settings."""
    module = importlib.import_module(f"gradflow.blocks.{name}")
    return cast("Callable[..., nn.Module]", module.Block)


class Instrument(Protocol):
    """A module that measures what stands in a trace."""

    COLUMNS: tuple[str, ...]

    def measure(self, trace: "Trace") -> "Tensor":
        """(seeds, depth, columns) in float64; nan where a number does not exist."""


@cache
def instruments() -> dict[str, tuple[str, ...]]:
    """Columns by name of the instruments that measure a trace, in alphabetical order."""
    found = {}
    for path in sorted(_INSTRUMENTS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COLUMNS":
                found[path.stem] = ast.literal_eval(node.value)
    return found


def instrument(name: str) -> Instrument:
    """The instrument of that name."""
    return cast("Instrument", importlib.import_module(f"gradflow.instruments.{name}"))
