"""Every dvc.yaml says what the code says: which modules a stage imports, and which parameters it reads."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "dvc.yaml", *sorted(ROOT.glob("studies/*/dvc.yaml")), ROOT / "ledger" / "dvc.yaml"]
PIPELINES = [path.parent.relative_to(ROOT).as_posix() for path in FILES]


@cache
def stages(pipeline):
    """The stages of a pipeline as its dvc.yaml has them."""
    return yaml.safe_load((ROOT / pipeline / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


@cache
def keys(pipeline):
    """The top-level keys of its params.yaml; a pipeline without parameters has none."""
    path = ROOT / pipeline / "params.yaml"
    return set(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.exists() else set()


STAGES = [(pipeline, stage) for pipeline in PIPELINES for stage in stages(pipeline)]
WHOLE = ("check", "check_study", "track")  # modules that read all of the parameters
# Folders whose files are found by name, as a stage may list them.
FOUND = ("gradflow/blocks", "gradflow/instruments")

WHOLE_TYPES = (
    "Params",
    "Recipe",
    "Initialisation",
    "studies.Identity",
    "studies.Initialisation",
)  # of arguments that hold all parameters

# Large libraries that importing a stage may load; each costs up to seconds.
HEAVY = {"datasets", "matplotlib", "mlflow", "pandas", "plotly", "prefect", "pyarrow", "scipy", "sklearn", "torch"}
LOADS = {
    "check": set(),
    "check_study": set(),
    "claims": {"pandas", "pyarrow"},
    "fetch": {"pyarrow"},
    "scale": {"pandas", "pyarrow", "scipy", "sklearn"},  # scikit-learn itself looks for pandas
    "train": {"pyarrow", "torch"},
    "gradients": {"pandas", "pyarrow"},
    "plot": {"matplotlib", "pandas", "pyarrow", "torch"},
    "track": {"pandas", "pyarrow"},
    "identity_train": {"pyarrow", "torch"},
    "identity_tables": {"pandas", "pyarrow"},
    "initialisation": {"pandas", "pyarrow", "torch"},
    "plot_identity": {"matplotlib", "pandas", "pyarrow"},
    "plot_initialisation": {"matplotlib", "pandas", "pyarrow"},
    "report": {"matplotlib", "pandas", "pyarrow"},
}


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_a_stage_depends_on_exactly_the_modules_that_it_imports(pipeline, stage):
    paths = {os.path.normpath(Path(pipeline) / path) for path in definition(pipeline, stage)["deps"]}

    assert {path for path in paths if path.endswith((".py", ".c")) or path in FOUND} == with_found(pipeline, stage)


def test_packages_hold_a_docstring_and_nothing_to_depend_on():
    for path in ROOT.glob("gradflow/**/__init__.py"):  # that of stages is about signals and locks, which move no result
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert [type(node) for node in body] == [ast.Expr] and ast.get_docstring(ast.Module(body, [])), path


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_a_stage_lists_exactly_the_parameters_that_it_reads(pipeline, stage):
    if module(pipeline, stage) in WHOLE:
        assert definition(pipeline, stage)["params"] == [{"params.yaml": None}]
    else:
        assert listed(pipeline, stage) == reads(pipeline, f"stages/{module(pipeline, stage)}.py")


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_parameter_is_listed_by_a_stage(pipeline):
    """Otherwise an experiment that changes it would run nothing and be recorded all the same."""
    narrow = [stage for stage in stages(pipeline) if module(pipeline, stage) not in WHOLE]

    assert set().union(*(listed(pipeline, stage) for stage in narrow)) == keys(pipeline)


@pytest.mark.parametrize("stage", sorted({path.stem for path in ROOT.glob("stages/*.py")} - {"__init__"}))
def test_a_stage_loads_only_the_large_libraries_that_it_needs(stage):
    code = f"import stages.{stage}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert HEAVY & set(done.stdout.split()) <= LOADS[stage]


@pytest.mark.parametrize("stage", stages("."))
def test_a_stage_of_the_root_runs_the_module_of_its_name(stage):
    assert module(".", stage) == stage


def definition(pipeline, stage):
    """What dvc.yaml says of a stage, be it one or one a variant."""
    return stages(pipeline)[stage].get("do", stages(pipeline)[stage])


def module(pipeline, stage):
    """The module in stages/ that a stage runs, from the root of the checkout or with it on the path."""
    prefix = "" if pipeline == "." else f"PYTHONPATH={os.path.relpath(ROOT, ROOT / pipeline)} "
    return re.match(rf"{re.escape(prefix)}python -m stages\.(\w+) ", definition(pipeline, stage)["cmd"])[1]


def listed(pipeline, stage):
    """Top-level keys among the parameters of a stage."""
    return {key.split(".")[0] for key in definition(pipeline, stage).get("params", [])}


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


def with_found(pipeline, stage):
    """What a stage imports, what that compiles, and what is found by name: blocks for networks, instruments for traces.

    Those that check parameters read both as text.
    """
    runs = module(pipeline, stage)
    found = {path for path in imports(f"stages/{runs}.py") if not path.startswith("gradflow/instruments/")}
    if runs in ("check", "check_study"):
        found |= {"gradflow/blocks"}
    elif "gradflow/kit/network.py" in found:
        each = "foreach" in stages(pipeline)[stage]
        found |= {"gradflow/blocks/${item.block}.py" if each else "gradflow/blocks"}
    if runs == "check_study" or "gradflow/instruments/trace.py" in found:
        found |= {"gradflow/instruments"}
    if "gradflow/training/compiled.py" in found:
        found |= {"gradflow/training/step.c"}
    return found


def reads(pipeline, module):
    """Top-level keys that a stage takes from its parameters, in its own code or in what that calls.

    Looked for are attributes of ``load(Recipe, ...)`` and its ``of(variant)``, of names bound to them, and of arguments
    of such a type.
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
    return found & keys(pipeline)


def parameters_in(function):
    """Names of the whole of the parameters in a function."""
    found = {
        argument.arg
        for argument in [*function.args.args, *function.args.kwonlyargs]
        if argument.annotation and ast.unparse(argument.annotation) in WHOLE_TYPES
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and are_parameters(node.value, found):
            found.add(ast.unparse(node.targets[0]))
    return found


def are_parameters(node, known):
    """Whether an expression is ``load(Recipe, ...)``, what ``of(variant)`` makes of that, or a known name of either."""
    if isinstance(node, ast.Name):
        return node.id in known
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return ast.unparse(node.func) == "params.load" or (
        node.func.attr == "of" and are_parameters(node.func.value, known)
    )
