"""dvc.yaml says what the code says: which modules a stage imports, and which parameters it reads."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
WHOLE = ("check", "track")
KEYS = set(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))

# Large libraries that importing a stage may load; each costs up to seconds.
HEAVY = {"datasets", "matplotlib", "mlflow", "pandas", "plotly", "prefect", "pyarrow", "scipy", "sklearn", "torch"}
LOADS = {
    "check": set(),
    "fetch": {"pyarrow"},
    "scale": {"pandas", "pyarrow", "scipy", "sklearn"},  # scikit-learn itself looks for pandas
    "train": {"pyarrow", "torch"},
    "gradients": {"pandas", "pyarrow"},
    "plot": {"matplotlib", "pandas", "pyarrow", "torch"},
    "track": {"pandas", "pyarrow"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_modules_that_it_imports(stage):
    depends = {path for path in definition(stage)["deps"] if path.endswith(".py") or path == "gradflow/blocks"}

    assert depends == with_blocks(stage, imports(f"stages/{stage}.py"))


def test_packages_hold_a_docstring_and_nothing_to_depend_on():
    for path in [*ROOT.glob("gradflow/**/__init__.py"), *ROOT.glob("stages/**/__init__.py")]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert [type(node) for node in body] == [ast.Expr] and ast.get_docstring(ast.Module(body, [])), path


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in WHOLE])
def test_a_stage_lists_exactly_the_parameters_that_it_reads(stage):
    listed = {key.split(".")[0] for key in definition(stage).get("params", [])}

    assert listed == reads(f"stages/{stage}.py")


def test_each_parameter_is_listed_by_a_stage():
    """Otherwise an experiment that changes it would run nothing and be recorded all the same."""
    listed = {
        key.split(".")[0] for stage in STAGES if stage not in WHOLE for key in definition(stage).get("params", [])
    }

    assert listed == KEYS


@pytest.mark.parametrize("stage", WHOLE)
def test_check_and_track_read_the_whole_of_the_parameters(stage):
    assert definition(stage)["params"] == [{"params.yaml": None}]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_loads_only_the_large_libraries_that_it_needs(stage):
    code = f"import stages.{stage}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert HEAVY & set(done.stdout.split()) <= LOADS[stage]


def test_a_stage_runs_its_own_module():
    for stage in STAGES:
        assert definition(stage)["cmd"].split()[:3] == ["python", "-m", f"stages.{stage}"]
        assert f"stages/{stage}.py" in definition(stage)["deps"]


def definition(stage):
    """What dvc.yaml says of a stage, be it one or one a variant."""
    return STAGES[stage].get("do", STAGES[stage])


@cache
def imports(module):
    """This module and the first-party modules that it imports, at any level, wherever in its code."""
    found = {module}
    for name in sorted(names(ast.parse((ROOT / module).read_text(encoding="utf-8")))):
        path = Path(*name.split(".")).with_suffix(".py")
        if name.split(".")[0] in ("gradflow", "stages") and (ROOT / path).is_file():
            found |= imports(path.as_posix())
    return frozenset(found)


def names(tree):
    """Names of the modules imported, except what only a type checker imports."""
    found = set()
    if isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) and tree.test.id == "TYPE_CHECKING":
        return found.union(*(names(node) for node in tree.orelse))
    if isinstance(tree, ast.Import):
        found |= {alias.name for alias in tree.names}
    if isinstance(tree, ast.ImportFrom):
        found |= {tree.module} | {f"{tree.module}.{alias.name}" for alias in tree.names}
    return found.union(*(names(node) for node in ast.iter_child_nodes(tree)))


def with_blocks(stage, modules):
    """Add the blocks, which are found by name: read as text by check, imported where networks are built."""
    if stage == "check":
        return modules | {"gradflow/blocks"}
    if "gradflow/network.py" not in modules:
        return modules
    return modules | ({"gradflow/blocks/${item.block}.py"} if "foreach" in STAGES[stage] else {"gradflow/blocks"})


def reads(module):
    """Top-level keys that a stage takes from its parameters, in its own code or in what that calls.

    Looked for are attributes of ``params.load()``, of names bound to it, and of arguments of type Params.
    """
    found = set()
    for path in imports(module) - {"gradflow/params.py"}:
        for function in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                loaded = parameters_in(function)
                found |= {
                    node.attr
                    for node in ast.walk(function)
                    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in loaded
                }
    return found & KEYS


def parameters_in(function):
    """How the whole of the parameters is called in a function."""
    bound = {
        ast.unparse(node.targets[0])
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "params.load()"
    }
    given = {
        argument.arg
        for argument in [*function.args.args, *function.args.kwonlyargs]
        if argument.annotation and ast.unparse(argument.annotation) in ("Params", "params.Params")
    }
    return bound | given | {"params.load()"}
