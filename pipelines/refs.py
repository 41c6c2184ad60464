"""The experiments that git holds, here and in a remote: DVC keeps each as a ref, ``refs/exps/<baseline>/<name>``."""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gradflow.guards.errors import InputError, RunError
from gradflow.tracking import origin
from pipelines.git import git

REMOTE = "origin"  # where `git clone` came from


class Experiment(NamedTuple):
    """A DVC experiment: its commit, and the commit that it starts from."""

    name: str
    commit: str
    baseline: str


def here(root: Path) -> list[Experiment]:
    """All experiments of a repository, the oldest first; none where there is no git."""
    listed = origin.git(root, "for-each-ref", "--sort=committerdate", "--format=%(objectname) %(refname)", "refs/exps")
    return _parsed(listed)


def on_remote(root: Path, remote: str = REMOTE) -> list[Experiment]:
    """All experiments that a git remote has.

    Raises:
        InputError: There is no such remote.
        RunError: It cannot be reached.
    """
    if not origin.git(root, "remote", "get-url", remote):
        raise InputError("git", f"must have a remote {remote} that all machines reach")
    return _parsed(git(root, "ls-remote", remote, "refs/exps/*").replace("\t", " "))


def bring(root: Path, found: Iterable[Experiment], remote: str = REMOTE) -> None:
    """Fetch experiments from a git remote, all in one go; what DVC's cache holds of them stays where it is.

    Raises:
        RunError: The remote cannot be reached.
    """
    refs = [f"refs/exps/{one.baseline[:2]}/{one.baseline[2:]}/{one.name}" for one in found]
    for start in range(0, len(refs), 500):  # as many as a command line surely takes
        some = refs[start : start + 500]
        git(root, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, *(f"+{ref}:{ref}" for ref in some))


def read(
    root: Path, commits: Mapping[str, str], files: Sequence[str], parse: Callable[[bytes], Any] = json.loads
) -> dict[str, dict[str, Any]]:
    """Files of many commits, merged: one process of git for all, where DVC takes a third of a second for each.

    Args:
        root: A folder of the repository.
        commits: By name.
        files: Seen from that folder.
        parse: Makes keys and values of a file; default: of JSON.

    Returns:
        By name; a file that a commit does not have adds nothing.
    """
    wanted = [(name, f"{commit}:./{file}") for name, commit in commits.items() for file in files]
    printed = git(root, "cat-file", "--batch", given="".join(f"{what}\n" for _, what in wanted))
    stream = io.BytesIO(printed.encode(errors="surrogateescape"))
    found: dict[str, dict[str, Any]] = {name: {} for name in commits}
    for name, what in wanted:
        head = stream.readline().decode(errors="replace")
        if head.endswith(" missing\n"):
            continue
        content = stream.read(int(head.split()[2]) + 1)  # with the end of line behind it
        try:
            found[name] |= parse(content)
        except (TypeError, ValueError) as error:
            raise RunError(f"{what}: is no JSON of keys and values ({error})") from None
    return found


def _parsed(listed: str) -> list[Experiment]:
    found = []
    for commit, ref in (line.split(" ", 1) for line in listed.splitlines()):
        match ref.split("/"):  # refs/exps/<2 digits>/<38 digits>/<name>; others are DVC's own
            case [_, _, first, rest, name] if len(first + rest) == 40:
                found.append(Experiment(name, commit, first + rest))
    return found
