"""Each dvc.yaml says what the code says: which modules a stage imports, and which parameters it reads."""

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "dvc.yaml", *sorted(ROOT.glob("studies/*/dvc.yaml")), *ROOT.glob("ledger/dvc.yaml")]
FOLDERS = [file.parent for file in FILES]


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline in a folder, as its dvc.yaml has it."""

    folder: Path
    name: str
    definition: dict
    foreach: bool

    @property
    def module(self) -> str:
        """The module that it runs; there must be one, and the code must be found from the folder."""
        command = self.definition["cmd"].split()
        up = os.path.relpath(ROOT, self.folder)
        start = [] if up == "." else [f"PYTHONPATH={up}"]
        assert command[: len(start) + 2] == [*start, "python", "-m"], self.definition["cmd"]
        package, _, module = command[len(start) + 2].partition(".")
        assert package == "stages"
        return module

    @property
    def code(self) -> set[str]:
        """The modules, and the folders of modules, among what it depends on, seen from the root."""
        paths = (os.path.relpath(self.folder / path, ROOT) for path in self.definition["deps"])
        return {path for path in paths if path.startswith(("gradflow/", "stages/"))}

    @property
    def whole(self) -> bool:
        """It reads all of the parameters."""
        return self.module in ("check", "check_study", "track")


def stages():
    for file in FILES:
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"].items():
            yield Stage(file.parent, name, entry.get("do", entry), "foreach" in entry)


def keys(folder):
    file = folder / "params.yaml"
    return set(yaml.safe_load(file.read_text(encoding="utf-8"))) if file.exists() else set()


def name(case):
    if isinstance(case, Stage):
        return f"{name(case.folder)}:{case.name}".removeprefix(".:")
    return os.path.relpath(case, ROOT)


STAGES = list(stages())
# Folders of modules that no import names: a stage lists them where what it does depends on which there are.
FOUND_BY_NAME = {"gradflow/blocks", "gradflow/instruments"}
each_stage = pytest.mark.parametrize("stage", STAGES, ids=name)

# Large libraries that importing a stage may load; each costs up to seconds.
HEAVY = {"datasets", "matplotlib", "mlflow", "pandas", "plotly", "prefect", "pyarrow", "scipy", "sklearn", "torch"}
LOADS = {
    "check": set(),
    "check_study": set(),
    "fetch": {"pyarrow"},
    "scale": {"pandas", "pyarrow", "scipy", "sklearn"},  # scikit-learn itself looks for pandas
    "train": {"pyarrow", "torch"},
    "gradients": {"pandas", "pyarrow"},
    "identity_tables": {"pandas", "pyarrow"},
    "identity_train": {"pandas", "pyarrow", "torch"},
    "plot": {"matplotlib", "pandas", "pyarrow", "torch"},
    "track": {"pandas", "pyarrow"},
}


@each_stage
def test_a_stage_depends_on_exactly_the_modules_that_it_imports(stage):
    needed = with_blocks(stage, imports(f"stages/{stage.module}.py"))

    assert needed <= stage.code
    assert stage.code - needed <= FOUND_BY_NAME


def test_packages_hold_a_docstring_and_nothing_to_depend_on():
    for path in [*ROOT.glob("gradflow/**/__init__.py"), *ROOT.glob("stages/**/__init__.py")]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert [type(node) for node in body] == [ast.Expr] and ast.get_docstring(ast.Module(body, [])), path


@each_stage
def test_a_stage_lists_exactly_the_parameters_that_it_reads(stage):
    params = stage.definition.get("params", [])
    if stage.whole:
        assert params == [{"params.yaml": None}]
    else:
        assert {key.split(".")[0] for key in params} == reads(f"stages/{stage.module}.py") & keys(stage.folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_each_parameter_is_listed_by_a_stage(folder):
    """Otherwise an experiment that changes it would run nothing and be recorded all the same."""
    own = [stage for stage in STAGES if stage.folder == folder and not stage.whole]

    assert {key.split(".")[0] for stage in own for key in stage.definition.get("params", [])} == keys(folder)


@pytest.mark.parametrize("module", sorted({stage.module for stage in STAGES}))
def test_a_stage_loads_only_the_large_libraries_that_it_needs(module):
    code = f"import stages.{module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert HEAVY & set(done.stdout.split()) <= LOADS[module]


def test_each_stage_at_the_root_runs_the_module_of_its_name():
    assert all(stage.module == stage.name for stage in STAGES if stage.folder == ROOT)


@cache
def imports(module):
    """This module and the first-party modules that it imports, at any level, wherever in its code."""
    found = {module}
    for name in sorted(imported(ast.parse((ROOT / module).read_text(encoding="utf-8")))):
        path = Path(*name.split(".")).with_suffix(".py")
        if name.split(".")[0] in ("gradflow", "stages") and (ROOT / path).is_file():
            found |= imports(path.as_posix())
    return frozenset(found)


def imported(tree):
    """Names of the modules imported, except what only a type checker imports."""
    found = set()
    if isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) and tree.test.id == "TYPE_CHECKING":
        return found.union(*(imported(node) for node in tree.orelse))
    if isinstance(tree, ast.Import):
        found |= {alias.name for alias in tree.names}
    if isinstance(tree, ast.ImportFrom):
        found |= {tree.module} | {f"{tree.module}.{alias.name}" for alias in tree.names}
    return found.union(*(imported(node) for node in ast.iter_child_nodes(tree)))


def with_blocks(stage, modules):
    """Add the blocks, which are found by name: read as text by check, imported where networks are built."""
    if stage.module in ("check", "check_study"):
        return modules | {"gradflow/blocks"}
    if "gradflow/network.py" not in modules:
        return modules
    return modules | ({"gradflow/blocks/${item.block}.py"} if stage.foreach else {"gradflow/blocks"})


def reads(module):
    """Attributes that a stage takes from its parameters, in its own code or in what that calls.

    The parameters are what ``params.load(...)`` and ``of(variant)`` of that return, names bound to it, and arguments
    whose type is called Params.
    """
    found = set()
    for path in imports(module) - {"gradflow/params.py"}:
        for function in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                loaded = parameters_in(function)
                found |= {
                    node.attr
                    for node in ast.walk(function)
                    if isinstance(node, ast.Attribute) and are_parameters(node.value, loaded)
                }
    return found


def parameters_in(function):
    """Names of the parameters in a function."""
    found = {
        argument.arg
        for argument in [*function.args.args, *function.args.kwonlyargs]
        if argument.annotation and ast.unparse(argument.annotation).split(".")[-1] == "Params"
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and are_parameters(node.value, found):
            found.add(ast.unparse(node.targets[0]))
    return found


def are_parameters(node, known):
    if isinstance(node, ast.Name):
        return node.id in known
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return ast.unparse(node.func) == "params.load" or (
        node.func.attr == "of" and are_parameters(node.func.value, known)
    )
