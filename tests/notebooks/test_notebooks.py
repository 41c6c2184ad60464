"""The notebooks as their readers open them: what they show is what is committed, and nothing else is changed."""

import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from notebooks import refresh

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = ("residual_connections", "results")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
LARGEST = 150_000  # bytes of one output


def committed(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def outputs(notebook):
    """Name of each cell to its outputs, a dictionary of type to content each."""
    return {
        cell.id: [
            output.get("data") or {output.get("name", output.output_type): output.text} for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def is_picture(kind):
    return kind.startswith("image/")


def close(one, other):
    """Whether two numbers in a text may be the same measurement on two processors, which round differently.

    What is near 0 is a gradient, a loss or a p that many steps or powers of ten separate from 1: only its order of
    magnitude is meant.
    """
    known, new = float(one), float(other)
    if 0 < abs(known) < 0.01:
        return 0.1 <= new / known <= 10
    return abs(known - new) <= max(0.05, 0.1 * abs(known))


def differences(known, new):
    """What differs between the outputs of two runs; numbers may in their last digits, pictures in their pixels."""
    assert known.keys() == new.keys()
    for cell, before in known.items():
        after = new[cell]
        if [output.keys() for output in before] != [output.keys() for output in after]:
            yield f"{cell}: another kind of output"
            continue
        for one, other in zip(before, after, strict=True):
            for kind in (kind for kind in one if not is_picture(kind)):
                said, says = NUMBER.sub("#", one[kind]), NUMBER.sub("#", other[kind])
                pairs = zip(NUMBER.findall(one[kind]), NUMBER.findall(other[kind]), strict=False)
                # Columns of a text are padded by the width of its numbers.
                if said.split() != says.split() or not all(close(*pair) for pair in pairs):
                    yield f"{cell}: {one[kind]!r} is now {other[kind]!r}"


@pytest.fixture
def whole(fresh, tmp_path):
    """All that this checkout holds, with its own parameters, and nothing run; it has a database of its own."""
    environment = fresh.env | {"MLFLOW_TRACKING_URI": ""}
    return type(fresh)(refresh.fresh_clone(tmp_path / "a fresh clone", environment), environment)


def test_a_fresh_clone_holds_what_stands_here_changes_included_and_nothing_that_git_ignores(clone, tmp_path):
    (clone.root / "params.yaml").write_text("changed: 1\n", encoding="utf-8")
    (clone.root / "LICENSE").unlink()
    for name in ("notebooks/new.md", "mlflow.db"):
        (clone.root / name).touch()
    code = "import os, pathlib; from notebooks import refresh; refresh.fresh_clone(pathlib.Path('{}'), os.environ)"

    clone.run("python", "-c", code.format(tmp_path / "made"))

    made = type(clone)(tmp_path / "made", clone.env)
    assert (made.root / "params.yaml").read_text(encoding="utf-8") == "changed: 1\n"
    before, now = (set(one.run("git", "ls-files").stdout.split("\n")) for one in (clone, made))
    assert (now - before, before - now) == ({"notebooks/new.md"}, {"LICENSE"})
    assert made.run("git", "status", "--porcelain", "--ignored").stdout == ""


def executed(clone, name):
    return refresh.executed(clone.root / "notebooks" / f"{name}.ipynb", clone.env)


def test_the_student_sees_in_a_fresh_clone_what_is_committed(whole):
    """Down to a CSV of one's own; pytest ends what takes ten minutes."""
    fresh = executed(whole, "residual_connections")

    assert [*differences(outputs(committed("residual_connections")), outputs(fresh))] == [], "run `make notebooks`"
    assert whole.run("git", "status", "--porcelain").stdout == ""
    assert whole.run("git", "for-each-ref", "refs/exps").stdout == "", "experiments stay in the notebook's own clone"


def test_the_student_brings_a_file_and_sees_its_classes(clone):
    notebook = committed("residual_connections")
    notebook.cells = [cell for cell in notebook.cells if cell.id in ("install", "own", "own-run", "own-boundary")]
    [own] = [cell for cell in notebook.cells if cell.id == "own"]
    rows = pd.DataFrame({"age": [row % 7 + 9 * (row % 2) for row in range(120)], "weight": range(120)})
    rows.assign(label=[("no", "yes")[row % 2] for row in range(120)]).to_csv(clone.root / "brought.csv", index=False)
    own.source = 'shutil.copy(checkout / "brought.csv", "data/own/mine.csv")'
    [boundary] = [cell for cell in notebook.cells if cell.id == "own-boundary"]
    boundary.source = f"from IPython.display import Image\n{boundary.source}"
    nbformat.write(notebook, clone.root / "notebooks/own.ipynb")

    shown = outputs(executed(clone, "own"))

    assert any(is_picture(kind) for kind in shown["own-boundary"][0])
    about = json.loads((clone.root / "notebooks/work/data/raw/source.json").read_text(encoding="utf-8"))
    assert (about["rows"], about["features"], [*about["classes"]]) == (120, ["age", "weight"], ["no", "yes"])


def test_outside_of_a_checkout_the_first_cell_clones_and_installs(clone, tmp_path):
    """As in Colab; here all packages are there already."""
    [install] = [cell.source for cell in committed("residual_connections").cells if cell.id == "install"]
    (tmp_path / "content").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", f"{install}\nprint(Path.cwd())"],
        cwd=tmp_path / "content",
        env=clone.env | {"PIP_NO_INDEX": "1"},
        input=f"{clone.root}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{tmp_path}/content/gradflow/notebooks/work\n")
    assert (tmp_path / "content/gradflow/notebooks/work/dvc.yaml").is_file()


def test_the_researcher_gets_in_a_fresh_clone_what_is_committed_and_the_figure_as_a_pdf(whole):
    fresh = executed(whole, "results")

    assert [*differences(outputs(committed("results")), outputs(fresh))] == [], "run `make notebooks`"
    assert whole.run("git", "status", "--porcelain").stdout == ""
    exported = whole.root / "notebooks/exported"
    figure = (exported / "depth.pdf").read_bytes()
    assert figure.startswith(b"%PDF") and b"CreationDate" not in figure
    assert "\\toprule" in (exported / "paired.tex").read_text(encoding="utf-8")

    nbformat.write(fresh, whole.root / "notebooks/results.ipynb")  # as JupyterLab saves it
    tried = whole.run("git", "for-each-ref", "refs/exps").stdout
    [command] = re.findall(r"^(jupyter execute \S+)", README, re.MULTILINE)
    (exported / "depth.pdf").unlink()
    whole.run(*command.split())
    assert (exported / "depth.pdf").read_bytes() == figure, "the same bytes"
    assert whole.run("git", "for-each-ref", "refs/exps").stdout == tried, "nothing is trained again"


def test_make_opens_the_notebook_on_this_machine_alone_and_asks_strangers_for_a_token(
    clone, started, eventually, reachable
):
    [command] = {*re.findall(r"^(make notebook)\b", README, re.MULTILINE)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    make = command.replace("make", "make -o .venv/installed").split()
    lab = started(clone, *make, f"PORT={port}", BROWSER="true")  # which opens nothing

    def address():
        assert lab.poll() is None, lab.log.read_text()
        return re.search(rf"http://127.0.0.1:{port}/lab/tree/(\S+)\?token=(\w+)", lab.log.read_text())

    opened, token = eventually(address).groups()
    assert reachable(port) == {"127.0.0.1"}
    contents = f"http://127.0.0.1:{port}/api/contents/{opened}"
    with urllib.request.urlopen(f"{contents}?token={token}&content=0") as answer:
        assert json.load(answer)["type"] == "notebook"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(contents)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_is_small_and_whole(name):
    notebook = committed(name)
    nbformat.validate(notebook)
    for cell, shown in outputs(notebook).items():
        assert all(len(content) <= LARGEST * 4 / 3 for output in shown for content in output.values()), cell
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [
        *range(1, 1 + sum(cell.cell_type == "code" for cell in notebook.cells))
    ], "executed from top to bottom"
    assert not re.search(r"/(?:tmp|home|root)/", json.dumps([*outputs(notebook).values()]))


def test_outputs_that_differ_are_found():
    known = {"cell": [{"text/plain": "accuracy 0.96, ratio 7e-07, 20 blocks"}]}
    assert not [*differences(known, {"cell": [{"text/plain": "accuracy  0.95, ratio 5.3e-07, 20 blocks"}]})]
    for changed in ("accuracy 0.50, ratio 7e-07, 20 blocks", "accuracy 0.96, ratio 7e-05, 20 blocks", "accuracy 0.96"):
        assert [*differences(known, {"cell": [{"text/plain": changed}]})]
    assert [*differences(known, {"cell": [{"image/png": ""}]})]
