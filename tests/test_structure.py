"""How modules know each other: in no circle, and no block, instrument or network by name."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from gradflow.params import catalogue

ROOT = Path(__file__).parents[1]
PACKAGES = ("gradflow", "stages", "studies", "serving", "pipelines")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}

# Modules that speak of networks by name: as they were published; laws for the blocks that a study compares; blocks of
# convolutions, which share words with others.
BY_NAME = (
    "gradflow.networks.convnet",
    "studies.convnets.params",
    "studies.convnets.plot",
    "studies.gates.signals",
    "studies.identity.published",
    "studies.overflow.signals",
    "studies.shares.growth",
)


def statements(tree):
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from statements(node)
        else:
            for other in node.orelse:
                yield from statements(other)


def imported(name):
    """The modules of this project that a module imports, wherever in it."""
    found = set()
    for node in statements(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }
    return found & set(MODULES)


def room(name):
    """The folder of a module of the library; elsewhere, and at the top of the library, the module itself."""
    return name.rpartition(".")[0] if name.count(".") == 2 and name.startswith("gradflow.") else name


@pytest.mark.parametrize("of", [str, room], ids=["modules", "rooms"])
def test_nothing_imports_each_other_in_a_circle(of):
    graph = {}
    for name in MODULES:
        graph.setdefault(of(name), set()).update({of(other) for other in imported(name)} - {of(name)})
    assert sum(map(len, graph.values())) > 200
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_a_circle_would_be_found():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    assert "gradflow.kit.layers" in imported("gradflow.kit.network")
    assert "gradflow.training.record" not in imported("gradflow.tables.logs")  # read by a type checker alone


def test_modules_stand_in_the_folder_of_their_concern():
    top = {path.stem for path in (ROOT / "gradflow").glob("*.py")}
    assert top == {"__init__", "boundary", "checkpoints", "live", "recipe", "theory"}


def names_said(tree, names):
    """The lines on which one of the names stands as a text of its own."""
    return [node.lineno for node in statements(tree) if isinstance(node, ast.Constant) and node.value in names]


def test_no_block_is_named_outside_its_own_file():
    names = {*catalogue.names()}
    said = {
        name: lines
        for name, tree in TREES.items()
        if not name.startswith("gradflow.blocks.") and name not in BY_NAME and (lines := names_said(tree, names))
    }
    assert not said


def test_a_block_named_outside_its_file_would_be_found():
    assert names_said(ast.parse('chosen = {"plain": 1}\nother = f(x, "a plain one")'), {"plain"}) == [1]


def test_nobody_imports_a_block_by_name():
    assert not {name for name in MODULES if any(other.startswith("gradflow.blocks.") for other in imported(name))}


@pytest.mark.parametrize("name", catalogue.names())
def test_a_block_is_read_on_one_page(name):
    text = (ROOT / "gradflow" / "blocks" / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    [block] = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    assert ast.get_docstring(block).startswith("``x -> "), "a block starts with its formula"
