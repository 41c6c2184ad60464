"""Reading YAML with the reader that DVC uses, after refusing files that are too large for it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from gradflow.guards.errors import InputError, shown

LARGEST = 64_000  # bytes of a file that people write
MOST_NODES = 64_000  # including what aliases repeat; a hundred letters count as one more
DEEPEST = 100  # the reader, written in C, crashes the whole process at some ten thousand


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
    except FileNotFoundError:
        raise InputError(str(path), "no such file; run this where params.yaml lies") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    if len(content) > largest:
        raise InputError(str(path), f"must have at most {largest:,} bytes")
    try:
        text = content.decode()
        _measure(text, most)
        document = YAML(typ="safe").load(text)
    except RecursionError:
        raise InputError(str(path), "is nested too deeply") from None
    except Exception as error:  # the reader's own, and whatever Python says of numbers, dates and keys
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error)[:200]  # may repeat a name of any length
        raise InputError(f"{path}{place}", f"is not readable YAML: {problem}") from None
    if not isinstance(document, Mapping):
        raise InputError(str(path), f"must hold keys and values, got {shown(document)}")
    return document


def _measure(text: str, most: int) -> None:
    """Refuse what is too deep or, with its aliases written out, too large, before it is built."""
    nodes: float = 0
    above: list[tuple[str | None, float]] = []  # what is open: its anchor, and the nodes before it
    below: dict[str | None, float] = {}  # anchor to the nodes that it stands for
    for event in YAML(typ="safe").parse(text):
        match event:
            case AliasEvent():
                nodes += below.get(event.anchor, 0)
            case ScalarEvent():
                below[event.anchor] = 1 + len(event.value) // 100
                nodes += below[event.anchor]
            case CollectionStartEvent():
                above.append((event.anchor, nodes))
                below[event.anchor] = math.inf  # within itself
                nodes += 1
            case CollectionEndEvent():
                anchor, before = above.pop()
                below[anchor] = nodes - before
        if len(above) > DEEPEST:
            raise RecursionError
        if nodes > most:
            problem = "holds too much, counting what aliases repeat"
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
