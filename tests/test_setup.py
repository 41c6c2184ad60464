"""make and DVC where the Python is not the one of the project, and what make says of itself."""

import ast
import os
import re
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# One that makes something like a virtual environment, at once.
QUICK = f"""#!/bin/sh
[ "$1" = -c ] && exec '{sys.executable}' "$@"
mkdir -p "$4/bin" && echo '#!/bin/sh' >"$4/bin/python" && chmod +x "$4/bin/python"
"""
REMEDY = "run `make setup`, then `source .venv/bin/activate`; in an editor, choose .venv/bin/python"
OLD = f"""#!/bin/sh
[ "$1" = -c ] || exit 9
exec '{sys.executable}' -c 'import sys; sys.version_info = (3, 9, 1, "final", 0); exec(sys.argv[1])' "$2"
"""


def test_a_python_that_is_too_old_is_named(clone):
    old = clone.root / "old python"
    old.write_text(OLD, encoding="utf-8")
    old.chmod(0o755)
    done = clone.run("make", "setup", "PYTHON=./old python", code=2)
    assert done.stderr.startswith(
        "gradflow: needs Python 3.11 or newer, ./old python is 3.9; name another: make PYTHON="
    )
    assert not (clone.root / ".venv").exists()


def test_a_python_that_is_not_there_is_named(clone):
    done = clone.run("make", "setup", "PYTHON=no-such-python", code=2)
    assert done.stderr.startswith(
        "gradflow: needs Python 3.11 or newer, found no no-such-python; name one: make PYTHON="
    )


@pytest.fixture
def repro(clone):
    """Run dvc by its path, as editors do, where another python comes first; returns what it says."""

    def run(python, folder="."):
        path = os.pathsep.join([str(python.parent), clone.env["PATH"]])
        done = clone.run(Path(sys.executable).parent / "dvc", "--cd", folder, "repro", code=255, PATH=path)
        assert "Traceback" not in done.stderr
        return done.stderr

    return run


@pytest.mark.parametrize("folder", [".", "studies/identity"])
def test_a_stage_in_a_python_without_the_packages_says_so_in_one_line(repro, tmp_path, folder):
    venv.create(tmp_path / "another", symlinks=True)
    python = tmp_path / "another/bin/python"

    assert f"gradflow: {python} has no module click; {REMEDY}\n" in repro(python, folder)


@pytest.mark.parametrize("module", ["reproduce", "sweep", "track_all", "study", "mend", "schedule", "new"])
def test_a_flow_in_a_python_without_the_packages_says_so_in_one_line(clone, tmp_path, module):
    venv.create(tmp_path / "another", symlinks=True)
    python = tmp_path / "another/bin/python"
    done = clone.run(python, "-m", f"pipelines.{module}", code=2)
    assert re.fullmatch(rf"gradflow: {re.escape(str(python))} has no module \w+; {REMEDY}\n", done.stderr)


def test_a_flow_in_a_python_that_is_too_old_says_so_in_one_line(clone):
    old = "import sys; sys.version_info = (3, 9, 1); sys.argv = ['-m']; import pipelines"
    line = f"gradflow: needs Python 3.11 or newer, {sys.executable} is 3.9; {REMEDY}\n"
    assert clone.run(sys.executable, "-c", old, code=2).stderr == line


def test_a_stage_in_a_python_that_is_too_old_says_so_in_one_line(repro, tmp_path):
    python = tmp_path / "python"
    old = "import sys; sys.version_info = (3, 9, 1); sys.argv = ['-m']; import stages"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{old}"\n', encoding="utf-8")
    python.chmod(0o755)

    assert f"gradflow: needs Python 3.11 or newer, {sys.executable} is 3.9; {REMEDY}\n" in repro(python)


def test_an_old_python_can_read_what_says_that_it_is_too_old():
    guards = "gradflow/guards"
    for name in (
        *(f"{package}/__init__" for package in ("gradflow", guards, "pipelines", "stages", "studies")),
        f"{guards}/start",
    ):
        ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_an_environment_whose_folder_was_renamed_is_made_again(clone, tmp_path):
    quick = tmp_path / "quick"
    quick.write_text(QUICK, encoding="utf-8")
    quick.chmod(0o755)
    setup = ("make", "setup", f"PYTHON={quick}")
    assert "-m venv" in clone.run(*setup).stdout
    assert "-m venv" not in clone.run(*setup).stdout

    renamed = type(clone)(clone.root.rename(tmp_path / "another name"), clone.env)

    lines = renamed.run(*setup).stdout.splitlines()
    assert lines[0] == f"gradflow: .venv was made in {clone.root}/.venv, not here: it is made again"
    assert "-m venv" in lines[1]
    assert "-m venv" not in renamed.run(*setup).stdout


def test_a_clone_has_the_same_bytes_whatever_git_makes_of_line_ends(clone, tmp_path):
    (clone.root / "data/own/mine.csv").write_bytes(b"a,b,label\r\n1,2,0\r\n")
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", "Own data")

    for value in ("true", "input", "false"):
        clone.run("git", "clone", "--quiet", "-c", f"core.autocrlf={value}", ".", tmp_path / value)
        for name in clone.run("git", "ls-files", "-z").stdout.split("\0")[:-1]:
            assert (tmp_path / value / name).read_bytes() == (clone.root / name).read_bytes(), name


def test_make_lists_its_targets(clone):
    listed = {line.split()[1] for line in clone.run("make").stdout.splitlines()}
    assert listed >= {"setup", "reproduce", "test", "lint", "ui", "schedule"}
