"""comment: what a change does to parameters, verdicts, metrics and figures, as a comment on its pull request.

``python -m pipelines.comment BASE`` prints Markdown for GitHub and GitLab. DVC compares the files here with those of
BASE; nothing runs, so ``dvc repro`` comes before it, as ``make comment`` and the workflows have it.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from dvc.exceptions import DvcException
from dvc.repo import Repo

from gradflow.guards import checkout
from gradflow.guards.errors import InputError, RunError, shown
from pipelines.git import git

_LONGEST = 65_536  # characters of a comment on GitHub; GitLab takes more
_LONGEST_CELL = 120
_OPEN = 12  # rows that are shown at once; longer tables are folded
_FIGURES = "*reports/figures/*.png"
_VERDICTS = "reports/claims.json"
_COMMIT = "{commit}"
_NONE = "-"

Change = Mapping[str, Any]  # what DVC says of a key: old, new, and diff where both are numbers


@dataclass(frozen=True)
class Table:
    """Rows of a section; a long table is folded, and cut where the comment would be too long.

    Attributes:
        title: Markdown, one line.
        columns: Their heads.
        rows: Cells in Markdown.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self, room: int) -> str:
        """Markdown of at most so many characters; empty if not even the head has room."""
        folded = len(self.rows) > _OPEN
        head = f"<details><summary>{self.title}</summary>\n\n" if folded else f"**{self.title}**\n\n"
        head += f"{_row(self.columns)}\n{_row('---' for _ in self.columns)}\n"
        end = "\n</details>\n" * folded + "\n"
        text, left = "", room - len(head) - len(end) - len(_more(len(self.rows)))
        for number, row in enumerate(self.rows):
            line = f"{_row(row)}\n"
            if left < len(line):
                return f"{head}{text}{_more(len(self.rows) - number)}{end}" if text else ""
            text += line
            left -= len(line)
        return f"{head}{text}{end}"


@click.command()
@click.argument("base")
@click.option("--files", metavar="URL", help="Where files of a revision can be seen, with {commit} in place of it.")
@click.option("--run", "run_page", metavar="URL", help="Where the results of this run can be downloaded.")
def main(base: str, files: str | None, run_page: str | None) -> None:
    """Print what differs between BASE, a revision, and the files here, as a comment on a pull request."""
    root = checkout.root()
    if files and _COMMIT not in files:
        raise InputError("--files", f"must have {_COMMIT} in it, got {shown(files)}")
    commit = _commit(root, base)
    with chdir(root):  # DVC's paths are seen from the current folder
        click.echo(comment(root, commit, files, run_page), nl=False)


def comment(root: Path, commit: str, files: str | None = None, run_page: str | None = None) -> str:
    """The comment, of at most 65,536 characters; the same for the same files.

    Args:
        root: Top folder of the checkout.
        commit: What to compare it with.
        files: Where files of a commit can be seen, with ``{commit}`` in it; without it figures are only named.
        run_page: Where the results here can be downloaded.

    Raises:
        RunError: DVC or git cannot read something; names it.
    """
    params, metrics, outdated = _compared(root, commit)
    verdicts = _verdicts(root, commit)
    figures = _figures(root, commit, files)
    moved = {file: list(_moved(changes)) for file, changes in metrics.items()}
    tables = [
        _table("verdict", "changed", ("claim", "before", "now"), verdicts),
        _table("parameter", "changed", ("file", "parameter", "before", "now"), _parameters(params)),
        _table("figure", "changed", ("figure", "before", "now"), figures),
        *(
            _table("metric", f"moved in {_code(file)}", ("metric", "before", "now", "change"), rows)
            for file, rows in moved.items()
        ),
    ]
    counts = (_count(len(verdicts), "verdict", "changed"), _count(sum(map(len, moved.values())), "metric", "moved"))
    head = "<!-- gradflow: results -->\n"  # by which the comment is found again, to be replaced
    head += f"### Results, compared with `{commit[:10]}`\n\n"
    head += f"**{', '.join(counts)}, {_count(len(figures), 'figure', 'changed')}.**"
    head += f" [All results of this run]({run_page})\n\n" if run_page else "\n\n"
    if outdated:
        head += f"Not run again, though out of date: {', '.join(map(_code, outdated))}.\n\n"
    return _fitted(head, [table for table in tables if table.rows])


def _fitted(head: str, tables: Sequence[Table]) -> str:
    """The head and as much of the tables as there is room for."""
    cut = "Not all of it fits into a comment: `dvc metrics diff` and `dvc params diff` show the rest.\n"
    text = head
    for number, table in enumerate(tables):  # each gets its share of what those before it have left
        text += table.text((_LONGEST - len(text) - len(cut)) // (len(tables) - number))
    whole = head + "".join(table.text(10**9) for table in tables)
    return text if text == whole else text + cut


def _commit(root: Path, base: str) -> str:
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}").strip()
    except RunError:
        raise InputError("BASE", f"must be a revision that git knows, got {shown(base)}") from None


def _compared(root: Path, commit: str) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Parameters and metrics that differ, by file, and the dvc.yaml that are out of date, of all DVC projects."""
    params, metrics, outdated = dict[str, Any](), dict[str, Any](), set[str]()
    for project in checkout.projects(root):
        try:
            with Repo(str(project)) as repo:
                params |= _readable(root, project, repo.params.diff(a_rev=commit))
                metrics |= _readable(root, project, repo.metrics.diff(a_rev=commit, all=True))
                files = {_file(address) for address in _changed(repo.status())}
                outdated |= {
                    file for file in files if Path(file).with_name("dvc.lock").exists()
                }  # the others never ran
        except DvcException as error:
            raise RunError(f"DVC cannot compare {project}: {' '.join(str(error).split())}") from None
    return dict(sorted(params.items())), dict(sorted(metrics.items(), key=_root_first)), sorted(outdated)


def _readable(root: Path, project: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """What differs by file, seen from the root, if DVC could read all files that there are here."""

    def named(file: str) -> str:
        return (project / file).relative_to(root).as_posix()  # DVC names it as seen from its project

    here = found.get("errors", {}).get("workspace", {})
    for file, error in here.items() if isinstance(here, Mapping) else [("dvc.yaml", here)]:
        if not isinstance(error, FileNotFoundError):  # of a study that has not run yet
            raise RunError(f"{named(file)}: cannot be read: {' '.join(str(error).split())}")
    return {named(file): changes for file, changes in found.get("diff", {}).items()}


def _changed(status: Mapping[str, Any]) -> Iterator[str]:
    """Stages whose code, parameters or results are not those that they ran with.

    What is missing counts for nothing: DVC's cache may have it.

    Args:
        status: What ``dvc status`` finds.
    """
    for address, entries in status.items():
        states = [state for entry in entries if isinstance(entry, Mapping) for state in _states(entry)]
        if "changed command" in entries or "modified" in states:
            yield address


def _states(entry: Mapping[str, Any]) -> Iterator[str]:
    """States of files; of parameters, whose file has one for each key, ``modified`` whatever became of them."""
    for paths in entry.values():
        yield from ("modified" if isinstance(state, Mapping) else state for state in paths.values())


def _file(address: str) -> str:
    """The dvc.yaml of a stage, by the name that DVC gives the stage."""
    return address.partition(":")[0] if ":" in address else "dvc.yaml"


def _parameters(params: Mapping[str, Mapping[str, Change]]) -> list[list[str]]:
    return [
        [_code(file), _code(key), _code(change["old"]), _code(change["new"])]
        for file, changes in params.items()
        for key, change in sorted(changes.items())
    ]


def _moved(changes: Mapping[str, Change]) -> Iterator[list[str]]:
    """A row for each metric that moved: its mean and range before and now, and by how much the mean has moved.

    Lists by layer are no metrics to DVC.
    """
    metrics = dict[str, dict[str, Change]]()
    for key, change in sorted(changes.items()):
        name, _, part = key.rpartition(".")
        spread = part in ("mean", "std", "min", "max", "seeds")
        metrics.setdefault(name if spread else key, {})[part if spread else "mean"] = change
    for name, parts in metrics.items():
        if any(change["old"] != change["new"] for change in parts.values()):
            mean = parts.get("mean", next(iter(parts.values())))
            ends = [parts.get(end, mean) for end in ("min", "max")]
            numbers = [_number(mean[side], *(end[side] for end in ends)) for side in ("old", "new")]
            yield [_code(name), *numbers, _by_how_much(mean)]


def _number(mean: float | None, low: float | None, high: float | None) -> str:
    around = f" ({_digits(low)} to {_digits(high)})" if low != high else ""
    return f"{_digits(mean)}{around}"


def _by_how_much(change: Change) -> str:
    if "diff" not in change:
        return ""
    share = f" ({change['diff'] / abs(change['old']):+.1%})" if change["old"] else ""
    return f"{change['diff']:+.4g}{share}"


def _digits(value: float | None) -> str:
    return _NONE if value is None else f"{value:.5g}"


def _verdicts(root: Path, commit: str) -> list[list[str]]:
    """A row for each claim with another verdict than before, or which is new or gone."""
    now = _claims((root / _VERDICTS).read_text(encoding="utf-8")) if (root / _VERDICTS).is_file() else {}
    before = _claims(git(root, "show", f"{commit}:{_VERDICTS}")) if _in(root, commit, _VERDICTS) else {}
    rows = []
    for key in dict.fromkeys([*now, *before]):
        old, new = before.get(key, {}).get("verdict"), now.get(key, {}).get("verdict")
        if old != new:
            words = [f"**{_text(verdict)}**" if verdict else _NONE for verdict in (old, new)]
            rows.append([f"{_text((now.get(key) or before[key])['claim'])} {_code(key)}", *words])
    return rows


def _claims(text: str) -> dict[str, dict[str, Any]]:
    try:
        return {claim["id"]: claim for claim in json.loads(text)}
    except (ValueError, TypeError, KeyError):
        raise RunError(f"{_VERDICTS}: is no list of claims; `make studies` makes it") from None


def _figures(root: Path, commit: str, files: str | None) -> list[list[str]]:
    """A row for each figure whose bytes differ, with both pictures where the files of a commit can be seen."""
    changed = set(_names(git(root, "diff", "--name-only", "--no-renames", "-z", commit, "--", _FIGURES)))
    new = set(_names(git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", _FIGURES)))
    head = git(root, "rev-parse", "HEAD").strip()
    uncommitted = new | set(_names(git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD", "--", _FIGURES)))
    rows = []
    for name in sorted(changed | new, key=lambda name: _root_first((name, None))):
        before = _picture(files, commit, name) if _in(root, commit, name) else _NONE
        if not (root / name).exists():
            now = _NONE
        else:
            now = "made by this run" if name in uncommitted else _picture(files, head, name)
        rows.append([_code(name), before, now])
    return rows


def _picture(files: str | None, commit: str, name: str) -> str:
    if files is None:
        return f"`{commit[:10]}`"
    address = html.escape(f"{files.replace(_COMMIT, commit)}/{name}")
    return f'<a href="{address}"><img src="{address}" width="360"></a>'


def _in(root: Path, commit: str, name: str) -> bool:
    return bool(git(root, "ls-tree", "--name-only", commit, "--", name))


def _names(listed: str) -> Iterable[str]:
    return filter(None, listed.split("\0"))


def _root_first(entry: tuple[str, Any]) -> tuple[bool, str]:
    return not entry[0].startswith("reports/"), entry[0]


def _table(what: str, happened: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(_count(len(rows), what, happened), columns, rows)


def _count(number: int, what: str, happened: str) -> str:
    return f"{number or 'no'} {what}{'s' * (number != 1)} {happened}"


def _more(rows: int) -> str:
    return f"\n{rows} more\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(value: object) -> str:
    """A value as code, in which Markdown, HTML and names of people mean nothing."""
    text = " ".join(str(_NONE if value is None else value).split()).replace("`", "'")
    short = text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
    return f"`{short.replace('|', chr(92) + '|')}`"


def _text(text: str) -> str:
    """Words for a cell, in which Markdown and HTML mean nothing."""
    line = " ".join(text.split())
    short = line if len(line) <= 2 * _LONGEST_CELL else f"{line[: 2 * _LONGEST_CELL]}…"
    return re.sub(r"([\\`*_\[\]<>|~#@])", r"\\\1", short)


if __name__ == "__main__":
    main()
