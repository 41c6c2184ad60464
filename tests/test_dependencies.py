"""Every dvc.yaml says what the code says: what a stage depends on, and which parameters it reads.

The rule: a stage depends on the code that can change what it writes. Code that can only refuse, wait, phrase or show
is no dependency: :data:`NONE`. Where a stage uses all files of a folder, the folder stands for them.
"""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest
import yaml

from serving.legs.torchserve import archive

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "dvc.yaml", *sorted(ROOT.glob("studies/*/dvc.yaml")), ROOT / "serving" / "dvc.yaml"]
PIPELINES = [path.parent.relative_to(ROOT).as_posix() for path in FILES]

NETWORK = re.compile(r'"network": "(\w+)"')  # in the description of one

# Guards refuse, wait and say why; rules refuse what stands in a params.yaml, and hand on what passes; live shows.
NONE = r"gradflow/(guards|params)/.*|gradflow/(recipe|live)\.py|(studies/.*|serving)/params\.py|.*/__init__\.py"
MOST_LINES = (
    10.5  # on code that a stage lists, on average over all dvc.yaml that people write and one made from the root's
)


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
WHOLE = r"stages\.check|.*\.track"  # modules that read all of the parameters
WHOLE_TYPES = ("Recipe", "Params", "Study")  # of arguments that hold all parameters

# Large libraries that importing a stage may load; each costs up to seconds.
HEAVY = {
    "datasets",
    "matplotlib",
    "mlflow",
    "pandas",
    "plotly",
    "prefect",
    "pyarrow",
    "rich",
    "scipy",
    "sklearn",
    "torch",
}
LOADS = {
    "stages.check": set(),
    "stages.fetch": {"pyarrow"},
    "stages.scale": {"pandas", "pyarrow", "scipy", "sklearn"},  # scikit-learn itself looks for pandas
    "stages.train": {"pyarrow", "torch"},
    "stages.gradients": {"pandas", "pyarrow"},
    "stages.plot": {"matplotlib", "pandas", "pyarrow"},
    "stages.track": {"pandas", "pyarrow"},
    "studies.identity.train": {"pyarrow", "torch"},
    "studies.identity.tables": {"pandas", "pyarrow"},
    "studies.identity.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.initialisation.measure": {"pandas", "pyarrow", "torch"},
    "studies.initialisation.tables": {"pandas", "pyarrow"},
    "studies.initialisation.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.scaling.train": {"pyarrow", "torch"},
    "studies.scaling.tables": {"pandas", "pyarrow"},
    "studies.scaling.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.overflow.measure": {"pandas", "pyarrow", "torch"},
    "studies.overflow.tables": {"pandas", "pyarrow"},
    "studies.overflow.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.lesions.rows": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.lesions.train": {"pyarrow", "torch"},
    "studies.lesions.measure": {"pandas", "pyarrow", "torch"},
    "studies.lesions.start": {"pandas", "pyarrow", "torch"},
    "studies.lesions.tables": {"pandas", "pyarrow"},
    "studies.lesions.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.mixing.rows": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.mixing.train": {"pyarrow", "torch"},
    "studies.mixing.measure": {"pandas", "pyarrow", "torch"},
    "studies.mixing.tables": {"pandas", "pyarrow"},
    "studies.mixing.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.gates.rows": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.gates.shifts": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.gates.train": {"pyarrow", "torch"},
    "studies.gates.measure": {"pandas", "pyarrow", "scipy", "torch"},
    "studies.gates.tables": {"pandas", "pyarrow"},
    "studies.gates.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.memory.rows": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.memory.train": {"pandas", "pyarrow", "torch"},
    "studies.memory.sketch": {"pandas", "pyarrow", "torch"},
    "studies.memory.errors": {"pandas", "pyarrow", "torch"},
    "studies.memory.saved": {"pandas", "pyarrow", "torch"},
    "studies.memory.tables": {"pandas", "pyarrow"},
    "studies.memory.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.routing.rows": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.routing.train": {"pyarrow", "torch"},
    "studies.routing.route": {"pandas", "pyarrow", "scipy", "torch"},
    "studies.routing.tables": {"pandas", "pyarrow"},
    "studies.routing.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.shares.rows": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.shares.train": {"pyarrow", "torch"},
    "studies.shares.measure": {"pandas", "pyarrow", "torch"},
    "studies.shares.growth": {"pandas", "pyarrow", "torch"},
    "studies.shares.tables": {"pandas", "pyarrow"},
    "studies.shares.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.convnets.images": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.convnets.train": {"pandas", "pyarrow", "torch"},
    "studies.convnets.denoise.train": {"pandas", "pyarrow", "torch"},
    "studies.convnets.denoise.measure": {"pandas", "pyarrow", "torch"},
    "studies.convnets.tables": {"pandas", "pyarrow"},
    "studies.convnets.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.convnets.track": {"pyarrow", "torch"},
    "studies.streams.track": {"pyarrow", "torch"},
    "studies.streams.train": {"pyarrow", "torch"},
    "studies.streams.measure": {"pandas", "pyarrow", "torch"},
    "studies.streams.twin.rows": {"pandas", "pyarrow", "scipy", "sklearn"},
    "studies.streams.twin.train": {"pyarrow", "torch"},
    "studies.streams.twin.measure": {"pandas", "pyarrow", "torch"},
    "studies.streams.tables": {"pandas", "pyarrow"},
    "studies.streams.plot": {"matplotlib", "pandas", "pyarrow"},
    "studies.ledger.claims": {"pandas", "pyarrow"},
    "studies.explorer.track": {"pandas", "pyarrow"},
    "studies.ledger.explorer": {"pandas", "pyarrow"},
    "studies.ledger.page": {"matplotlib", "pandas", "pyarrow"},
    "serving.stages.champion": {"pandas", "pyarrow"},
    "serving.stages.quantize": {"pandas", "pyarrow", "torch"},
    "serving.stages.package": {"pyarrow", "torch"},
    "serving.stages.agree": {"pyarrow", "torch"},
}


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_a_stage_depends_on_exactly_the_code_that_can_change_what_it_writes(pipeline, stage):
    assert on_code(pipeline, stage) == wanted(pipeline, stage)


def test_dependencies_on_code_are_few():
    derived = [
        p for p in PIPELINES if "Made by `python -m pipelines.study" in (ROOT / p / "dvc.yaml").read_text("utf-8")
    ]
    assert fmean(len(on_code(*each)) for each in STAGES if each[0] not in derived[1:]) <= MOST_LINES


def test_packages_hold_a_docstring_and_nothing_to_depend_on():
    for path in ROOT.glob("gradflow/*/__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert [type(node) for node in body] == [ast.Expr] and ast.get_docstring(ast.Module(body, [])), path


@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_a_stage_lists_exactly_the_parameters_that_it_reads(pipeline, stage):
    if re.fullmatch(WHOLE, module(pipeline, stage)):
        assert definition(pipeline, stage)["params"] == [{"params.yaml": None}]
    else:
        assert listed(pipeline, stage) == reads(pipeline, path_of(module(pipeline, stage)))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_parameter_is_listed_by_a_stage(pipeline):
    """Otherwise an experiment that changes it would run nothing and be recorded all the same."""
    narrow = [stage for stage in stages(pipeline) if not re.fullmatch(WHOLE, module(pipeline, stage))]

    assert set().union(*(listed(pipeline, stage) for stage in narrow)) == keys(pipeline)


def test_every_module_that_dvc_starts_has_a_row():
    assert {module(*each) for each in STAGES} == set(LOADS)


@pytest.mark.parametrize("stage", LOADS)
def test_a_stage_loads_only_the_large_libraries_that_it_needs(stage):
    code = f"import {stage}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    brought = {"rich"} if "sklearn" in LOADS[stage] else set()  # scikit-learn loads it where it is installed
    assert HEAVY & set(done.stdout.split()) <= LOADS[stage] | brought


@pytest.mark.parametrize("stage", stages("."))
def test_a_stage_of_the_root_runs_the_module_of_its_name(stage):
    assert module(".", stage) == f"stages.{stage}"


def definition(pipeline, stage):
    """What dvc.yaml says of a stage, be it one or one a variant."""
    return stages(pipeline)[stage].get("do", stages(pipeline)[stage])


def module(pipeline, stage):
    """The module that a stage runs, from the root of the checkout or with it on the path."""
    prefix = "" if pipeline == "." else f"PYTHONPATH={os.path.relpath(ROOT, ROOT / pipeline)} "
    return re.match(rf"{re.escape(prefix)}python -m ([\w.]+) ", definition(pipeline, stage)["cmd"])[1]


def path_of(module):
    return Path(*module.split(".")).with_suffix(".py").as_posix()


def listed(pipeline, stage):
    """Top-level keys among the parameters of a stage."""
    return {key.split(".")[0] for key in definition(pipeline, stage).get("params", [])}


def on_code(pipeline, stage):
    """The dependencies of a stage that are code, seen from the root."""
    paths = (os.path.normpath(Path(pipeline) / path) for path in definition(pipeline, stage).get("deps", []))
    return {path for path in paths if path.endswith((".py", ".c")) or is_code(ROOT / path)}


def is_code(folder):
    return folder.is_dir() and any(folder.rglob("*.py"))


def wanted(pipeline, stage):
    """What a stage must depend on; nothing, if it runs each time."""
    if definition(pipeline, stage).get("always_changed"):
        return set()
    runs = module(pipeline, stage)
    used = {path for path in imports(path_of(runs)) if not re.fullmatch(NONE, path)} | found_by_name(pipeline, stage)
    if "gradflow/training/compiled.py" in used:
        used |= {"gradflow/training/step.c"}
    if "gradflow/report/page.py" in used:
        used |= files_of("gradflow/report/template")
    if "serving/legs/torchserve/archive.py" in used:  # packs them
        packed = [*(ROOT / "serving/legs/torchserve").glob("handler.py")]
        packed += [path for name in archive.CODE for path in (ROOT / "gradflow").glob(name)]
        used |= {path.relative_to(ROOT).as_posix() for path in packed if path.name != "__init__.py"}
    if runs.endswith(".track"):  # logs a result once: other code of networks does not make it log one again
        reader = "result" if "gradflow/tracking/result.py" in used else "study"  # of the recipe's networks, or others
        used -= imports("gradflow/checkpoints.py") - imports(f"gradflow/tracking/{reader}.py")
        used = {path for path in used if not path.startswith(("gradflow/blocks/", "gradflow/networks/"))}
    if runs == "stages.check":  # its rules, and what they look at
        own = f"{pipeline}/params.py"
        if (ROOT / own).exists():  # then it does not look at the recipe's, nor at rows
            used = {path for path in used if not path.startswith("gradflow/data/")} | {own}
            used |= {path.relative_to(ROOT).as_posix() for path in (ROOT / pipeline).glob("*/params.py")}
        else:
            used |= {"gradflow/recipe.py", "gradflow/kit/widths.py", "gradflow/tables/configuration.py"}
        folders = ("guards", "params", "blocks", "instruments")
        used |= {path for folder in folders for path in files_of(f"gradflow/{folder}")}
    return with_folders(used)


def found_by_name(pipeline, stage):
    """Blocks, networks, mixing rules and instruments, which no import names."""
    runs = path_of(module(pipeline, stage))
    code = imports(runs)
    found = set()
    if "gradflow/kit/building.py" in code:
        texts = [(ROOT / path).read_text(encoding="utf-8") for path in code]
        networks = described(runs) or {name for text in texts for name in NETWORK.findall(text)}
        for path in (f"gradflow/networks/{name}.py" for name in networks):
            found |= {each for each in imports(path) if not re.fullmatch(NONE, each)}
            if "network.blocks(" in (ROOT / path).read_text(encoding="utf-8"):  # others have blocks of their own
                each = "foreach" in stages(pipeline)[stage]
                found |= {"gradflow/blocks/${item.block}.py"} if each else files_of("gradflow/blocks")
        found |= files_of("gradflow/mixing") if any('"mixing": ' in text for text in texts) else set()
    if any("trace.named(" in (ROOT / path).read_text(encoding="utf-8") for path in code):
        found |= files_of("gradflow/instruments")  # which of them, the parameters say
    return found


def described(module):
    """The networks that the rules beside a module describe; none where its own code does."""
    rules = (ROOT / module).with_name("params.py")
    return set(NETWORK.findall(rules.read_text(encoding="utf-8"))) if rules.exists() else set()


def with_folders(used):
    """Paths with each folder in place of its files, where all of these are used.

    One network is not all networks, even while there is no other: the next one must not train it again.
    """
    folders = {Path(path).parent.as_posix() for path in used} | {"gradflow/report"}
    own = {folder for folder in folders if not re.fullmatch(r"gradflow|gradflow/networks|stages|studies/\w+", folder)}
    whole = {folder for folder in own if files_of(folder) and files_of(folder) <= used}
    left = {path for path in used if not any(path.startswith(f"{folder}/") for folder in whole)}
    return left | {folder for folder in whole if not any(folder.startswith(f"{other}/") for other in whole)}


def files_of(folder):
    """The files of a folder that can change a result."""
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files if path.name != "__init__.py"}


@cache
def imports(module):
    """This module and the first-party modules that it imports, at any level, but for what guards and rules import."""
    found = {module}
    if re.fullmatch(NONE, module):
        return frozenset(found)
    for name in sorted(names(ast.parse((ROOT / module).read_text(encoding="utf-8")))):
        path = Path(*name.split(".")).with_suffix(".py")
        if name.split(".")[0] in ("gradflow", "stages", "studies", "serving") and (ROOT / path).is_file():
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


def reads(pipeline, module):
    """Top-level keys that a stage takes from its parameters, in its own code or in what that calls.

    Looked for are attributes of ``load(Recipe, ...)``, of what ``configuration.own`` makes of it, of names bound to
    them, and of arguments of such a type; and what methods of the rules read that are called so.
    """
    found = set()
    # What describes the networks of a recipe plays no part where rules describe others.
    others = {"gradflow/recipe.py"} | ({"gradflow/tables/configuration.py"} if described(module) else set())
    for path in imports(module) - others:
        for function in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                loaded = parameters_in(function)
                found |= {
                    node.attr
                    for node in ast.walk(function)
                    if isinstance(node, ast.Attribute) and are_parameters(node.value, loaded)
                }
    rules = ROOT / pipeline / "params.py"
    if rules.exists():
        tree = ast.parse(rules.read_text(encoding="utf-8"))
        methods = {node.name: of_self(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        while called := found & set(methods):
            found = (found - called).union(*(methods.pop(name) for name in called))
    return found & keys(pipeline)


def of_self(method):
    """Names of the attributes of ``self`` in a method."""
    attributes = (node for node in ast.walk(method) if isinstance(node, ast.Attribute))
    return {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "self"}


def parameters_in(function):
    """Names of the whole of the parameters in a function."""
    found = {
        argument.arg
        for argument in [*function.args.args, *function.args.kwonlyargs]
        if argument.annotation and ast.unparse(argument.annotation).strip("'") in WHOLE_TYPES
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and are_parameters(node.value, found):
            found.add(ast.unparse(node.targets[0]))
    return found


def are_parameters(node, known):
    """Whether an expression is ``load(Recipe, ...)``, what ``configuration.own`` makes of it, or a name of either."""
    if isinstance(node, ast.Name):
        return node.id in known
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "load"
    return ast.unparse(node.func) == "configuration.own" and are_parameters(node.args[0], known)
