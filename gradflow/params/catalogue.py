"""The blocks and instruments there are, found by their files.

``gradflow/blocks/<name>.py`` holds one subclass of ``Block``, whose settings are the keyword-only arguments of its
constructor; ``gradflow/instruments/<name>.py`` holds ``COLUMNS`` and ``measure``. Both are read from the
source text, so that params.yaml can be checked without the seconds that importing torch costs.
"""

import ast
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Any, Literal

_INSTRUMENTS = Path(__file__).parents[1] / "instruments"
_BLOCKS = Path(__file__).parents[1] / "blocks"
_TYPES: dict[str, Any] = {"float": float, "int": int, "bool": bool}
_TAKEN = ("block", "depth", "init", "train", "widths")


def names() -> list[str]:
    """Names of all blocks, in alphabetical order."""
    return sorted(path.stem for path in _BLOCKS.glob("*.py") if path.stem != "__init__")


@cache
def settings(name: str) -> dict[str, tuple[Any, Any]]:
    """Settings of a block: name to (type, default).

    Raises:
        TypeError: The file has no subclass of ``Block`` with a constructor; a setting has no literal default, is no
            float, int, bool, ``Literal`` of strings or one of these or None, or has the name of another key of a
            variant.
    """
    init = next((n for n in _block(name).body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if init is None:
        raise TypeError(f"blocks/{name}.py: its block must have an __init__(self, kit, place, *, settings)")
    found: dict[str, tuple[Any, Any]] = {}
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        if argument.arg in _TAKEN:
            raise TypeError(f"blocks/{name}.py: {argument.arg} is the name of another key of a variant")
        try:
            found[argument.arg] = (_type(argument.annotation), ast.literal_eval(default))  # type: ignore[arg-type]  # None is refused too
        except (KeyError, TypeError, ValueError):
            kinds = "a float, int, bool or Literal of strings, or one of them or None, with a default"
            raise TypeError(f"blocks/{name}.py: {argument.arg} must be {kinds}") from None
    return found


def _type(annotation: ast.expr | None) -> Any:
    match annotation:
        case ast.Name(name):
            return _TYPES[name]
        case ast.Constant(None):
            return None
        case ast.BinOp(left, ast.BitOr(), right):
            return reduce(or_, (_type(left), _type(right)))
        case ast.Subscript(ast.Name("Literal"), chosen):
            words = ast.literal_eval(chosen)
            if all(isinstance(word, str) for word in (words if isinstance(words, tuple) else (words,))):
                return Literal[words]
    raise TypeError


@cache
def changes_width(name: str) -> bool:
    """Whether a block can hand on a stream of another width than the one that it gets."""
    return any(
        isinstance(node, ast.Assign) and ast.unparse(node) == "changes_width = True" for node in _block(name).body
    )


def _block(name: str) -> ast.ClassDef:
    tree = ast.parse((_BLOCKS / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and "Block" in map(ast.unparse, node.bases):
            return node
    raise TypeError(f"blocks/{name}.py: must hold a subclass of Block")


@cache
def instruments() -> dict[str, tuple[str, ...]]:
    """Columns by name of the instruments that measure a trace, in alphabetical order."""
    found = {}
    for path in sorted(_INSTRUMENTS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COLUMNS":
                found[path.stem] = ast.literal_eval(node.value)
    return found
