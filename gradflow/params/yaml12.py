"""YAML as DVC reads it: version 1.2, or text that is then refused."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gradflow.guards.errors import InputError, shown

LARGEST = 64_000  # bytes of a file that people write; reading the densest one takes a second
MOST_NODES = 64_000  # with what aliases stand for counted each time


class Unclear(str):
    """What is text here and a number or a date to DVC: ``12e4567``, ``0x10``, ``2026-01-31``."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, brought to agree with DVC, which reads YAML 1.2, or to leave text that is then refused.

    PyYAML alone would take 020 for 16, 1:30 for 90 and on for true. DVC writes 0.00001 as 1e-05. No key
    may stand twice, and what aliases multiply stays small.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  # a class variable of PyYAML, not declared as one

    def __init__(self, stream: str, most: int) -> None:
        super().__init__(stream)
        self._nodes, self._most = 0, most
        self._below: dict[str, int] = {}  # anchor to the nodes that it stands for

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node, counted."""
        event, before = self.peek_event(), self._nodes  # type: ignore[no-untyped-call]  # PyYAML's
        anchor: str = getattr(event, "anchor", None) or ""
        if getattr(event, "tag", None):  # PyYAML takes !!int "020" for 16
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            raise _problem(f"{tag} may not stand here, types follow from what is written", event)
        alias = isinstance(event, yaml.AliasEvent)
        self._nodes += self._below.get(anchor, 0) if alias else 1
        if self._nodes > self._most:
            raise _problem("holds too much, counting what aliases repeat", event)
        node = super().compose_node(parent, index)
        if anchor and not alias:
            self._below[anchor] = self._nodes - before
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping whose keys all differ."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise _problem(f"{shown(key.value)} stands twice", key)
            seen.add((key.tag, str(key.value)))
        return node


def _problem(said: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(problem=said, problem_mark=at.start_mark)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?([0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|\.[0-9]+)|-?[1-9]e[-+][0-9]{2,3}", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
    # whatever else DVC takes for a number or a date
    (
        "unclear",
        r"[-+]?([0-9_]+|0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?"
        r"|\.[0-9_]+([eE][-+][0-9]+)?)|=|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\s].*)?",
        list("-+.0123456789_="),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:unclear", lambda _, node: Unclear(node.value))


def read(path: Path, largest: int = LARGEST, most: int = MOST_NODES) -> Mapping[str, Any]:
    """Read the parameters as they are written, whichever rules they obey.

    Args:
        path: The file.
        largest: Bytes that it may have.
        most: Nodes that it may have.

    Raises:
        InputError: The file is missing, too large, or is no YAML of keys and values.
    """
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise InputError(str(path), f"must have at most {largest:,} bytes")
        document = _Loader(content.decode(), most).get_single_data()
    except FileNotFoundError:
        raise InputError(str(path), "no such file; run this where params.yaml lies") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError(str(path), "is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error)[:200]  # PyYAML's own may repeat a name of any length
        raise InputError(f"{path}{place}", f"is not readable YAML: {problem}") from None
    if not isinstance(document, Mapping):
        raise InputError(str(path), f"must hold keys and values, got {shown(document)}")
    return document
