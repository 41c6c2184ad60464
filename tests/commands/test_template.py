"""A project made from template/: its own tests pass where it lies; a changed parameter reruns what depends on it."""

import re
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TEMPLATE = Path(__file__).parents[2] / "template" / "project"


@pytest.fixture(scope="module")
def made(fresh, tmp_path_factory):
    """A project, made as docs/template.md says. Not to be changed, only copied."""
    place = tmp_path_factory.mktemp("template") / "un éssai" / "my-curve"
    done = fresh.run("make", "-o", ".venv/installed", "new", f"NAME={place}")
    assert done.stdout == f"made {place}; go on with: cd '{place}' && make reproduce test\n"
    return replace(fresh, root=place)


def test_its_own_checks_and_tests_pass(made, tmp_path):
    own = made.copy(tmp_path / "un éssai")

    own.run("make", "-o", ".venv/installed", "test")

    assert own.run("git", "status", "--porcelain").stdout == ""


def test_a_changed_parameter_reruns_what_depends_on_it_and_nothing_else(made, tmp_path):
    own = made.copy(tmp_path / "un éssai")
    own.run("make", "-o", ".venv/installed", "reproduce")
    own.run("git", "add", "--all")
    own.run("git", "commit", "--quiet", "--message", "Results")

    said = own.run("dvc", "exp", "run", "--name", "sharper", "-S", "plot.dpi=50").stdout

    assert re.findall(r"^Running stage '(\w+)'", said, re.MULTILINE) == ["check", "plot", "track"]
    assert own.run("git", "status", "--porcelain").stdout.split() == [
        *("M", "dvc.lock"),
        *("M", "params.yaml"),
        *("M", "reports/fit.png"),
    ]
    assert own.repro() == set()


def test_nothing_in_it_is_about_this_project(made):
    words = [argument for word in ("gradflow", "residual", "{{", "{%") for argument in ("-e", word)]
    assert made.run("git", "grep", "--ignore-case", "--fixed-strings", *words, code=1).stdout == ""


@pytest.mark.parametrize(
    ("settings", "author"),
    [({"user.useConfigOnly": "true"}, "gradflow"), ({"user.name": "Ada", "user.email": "ada@localhost"}, "Ada")],
)
def test_it_is_committed_in_the_name_that_git_knows_also_where_it_knows_none(fresh, tmp_path, settings, author):
    known = {key: value for key, value in fresh.env.items() if not key.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))}
    own = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        own |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    user = replace(fresh, env=known | own)

    user.run("python", "-m", "pipelines.new", tmp_path / "curve")

    made = replace(user, root=tmp_path / "curve")
    assert made.run("git", "log", "--format=%an").stdout == f"{author}\n"
    assert made.run("git", "status", "--porcelain").stdout == ""


NAME = "must end in a word of lower-case letters, digits, - and _ that Python takes as a name, e.g. ../my-project; got "
REFUSED = [
    ("", NAME + "''"),
    ("../Curve", NAME + "'../Curve'"),
    ("../my curve", NAME + "'../my curve'"),
    ("../2-curves", NAME + "'../2-curves'"),
    ("../class", NAME + "'../class'"),
    ("../numpy", "must not end in numpy, since there is a Python module numpy already"),
    ("../stages", "must not end in stages, since there is a Python module stages already"),
    ("my-curve", "must lie outside this checkout, e.g. ../my-curve; got 'my-curve'"),
    ("../taken", "must be a new or an empty folder, got '../taken'"),
]


def files(folder):
    """All there is, but for what Python leaves behind."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(("name", "rule"), REFUSED)
def test_a_name_or_a_place_that_will_not_do_is_refused_in_one_line(clone, name, rule):
    (clone.root.parent / "taken").mkdir()
    (clone.root.parent / "taken" / "file").touch()
    before = files(clone.root.parent)

    done = clone.run("make", "-o", ".venv/installed", "new", f"NAME={name}", code=2)

    assert done.stderr.splitlines()[0] == f"gradflow: NAME: {rule}"
    assert "made" not in done.stdout and "Error 2" in done.stderr.splitlines()[1], "and make says that it ended with 2"
    assert files(clone.root.parent) == before


def test_it_is_made_in_an_empty_folder(fresh, tmp_path):
    (tmp_path / "curve").mkdir()
    fresh.run("python", "-m", "pipelines.new", tmp_path / "curve")
    assert (tmp_path / "curve/dvc.yaml").is_file() and [path.name for path in tmp_path.iterdir()] == ["curve"]


def test_where_none_can_be_made_that_is_said_in_one_line(fresh, tmp_path):
    (tmp_path / "file").touch()
    place = tmp_path / "file/in/curve"
    said = fresh.run("python", "-m", "pipelines.new", place, code=1).stderr
    assert said == f"gradflow: {place}: cannot be made (Not a directory)\n"


def pins(lock):
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def test_its_packages_are_pinned_as_those_of_this_project(fresh):
    own, ours = pins(TEMPLATE / "requirements.lock"), pins(fresh.root / "requirements.lock")
    assert own.items() <= ours.items(), "make lock renews both"
    listed = (TEMPLATE / "requirements.in").read_text(encoding="utf-8")
    asked = {canonicalize_name(name) for name in re.findall(r"^[\w.-]+", listed, re.MULTILINE)}
    for name in own:
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                asked.add(canonicalize_name(requirement.name))
    assert asked <= own.keys()
