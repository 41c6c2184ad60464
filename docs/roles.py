"""Docstrings name other objects as Sphinx has it, ``:func:`gradflow.theory.forward```: links of the reference."""

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?([^`]+)`")


_CONSTANT = re.compile(r"(.*\.)?_?[A-Z][A-Z_]+")


class Roles(Extension):
    """Turns roles into cross-references, of which mkdocstrings says where nothing has the name.

    Constants have comments and no docstrings, so the reference has no place for them.
    """

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object as soon as it is read."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(_linked, obj.docstring.value)


def _linked(role: re.Match[str]) -> str:
    return f"`{role[1]}`" if _CONSTANT.fullmatch(role[1]) else f"[`{role[1]}`][{role[1]}]"
