"""YAML as DVC reads it: version 1.2, or text that is then refused."""

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gradflow.errors import InputError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, brought to agree with DVC, which reads YAML 1.2, or to leave text that is then refused.

    PyYAML alone would take 020 for 16, 1:30 for 90 and on for true. DVC writes 0.00001 as 1e-05. No key
    may stand twice.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  # a class variable of PyYAML, not declared as one

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys all differ."""
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} stands twice", problem_mark=key.start_mark
                )
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|-?[1-9]e[-+][0-9]{2,3}", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def read(path: Path) -> Mapping[str, Any]:
    """Read the parameters as they are written, whichever rules they obey.

    Raises:
        InputError: The file is missing or is no YAML of keys and values.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a SafeLoader
    except FileNotFoundError:
        raise InputError(str(path), "no such file; run this where params.yaml lies") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise InputError(str(path), "is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise InputError(
            f"{path}{place}", f"is not readable YAML: {getattr(error, 'problem', None) or error}"
        ) from None
    if not isinstance(document, Mapping):
        raise InputError(str(path), f"must hold keys and values, got {reprlib.repr(document)}")
    return document
