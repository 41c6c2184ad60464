"""What cannot work is refused with exit code 2 and one line, before anything is changed."""

import importlib
import reprlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from gradflow.guards.errors import RunError
from gradflow.params import catalogue
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from gradflow.tables import configuration

BLOCKS = ", ".join(catalogue.names())
OUTPUTS = ("data", "models", "logs", "reports", "dvc.lock")


@pytest.fixture
def folder(fresh, tmp_path, monkeypatch):
    """An otherwise empty folder with small parameters that are fine; the current one."""
    place = tmp_path / "a folder"
    place.mkdir()
    shutil.copy2(fresh.root / "params.yaml", place)
    monkeypatch.chdir(place)
    return type(fresh)(place, fresh.env)


def refusal(stage, *outputs):
    """Run a stage, which must refuse and change nothing; return its line without the first word."""
    before = content(Path())
    done = CliRunner().invoke(importlib.import_module(f"stages.{stage}").main, outputs)
    assert content(Path()) == before
    return the_line(done.exit_code, done.stderr)


def the_line(code, stderr):
    assert code == 2, stderr
    assert stderr.startswith("gradflow: ") and stderr.endswith("\n") and stderr.count("\n") == 1
    return stderr.removeprefix("gradflow: ").rstrip("\n")


def content(folder, names=("",)):
    """Every file and folder below, with its bytes."""
    paths = [path for name in names for path in [folder / name, *(folder / name).rglob("*")]]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


VALUES = [
    ("depth", 0, "must be >= 1, got 0"),
    ("depth", -1, "must be >= 1, got -1"),
    ("depth", 2.5, "must be a whole number, got 2.5"),
    ("depth", "abc", "must be a whole number, got 'abc'"),
    ("depth", "a\nb", r"must be a whole number, got 'a\nb'"),
    ("depth", True, "must be a whole number, got True"),
    ("depth", None, "must be a whole number, got None"),
    ("depth", 10**30, f"must be <= 10000, got 1{'0' * 30}"),
    ("width", 0, "must be >= 1, got 0"),
    ("seeds", 0, "must be >= 1, got 0"),
    ("train", [1], "must hold keys and values, got [1]"),
    ("train.lr", 0, "must be > 0, got 0"),
    ("train.lr", -1, "must be > 0, got -1"),
    ("train.lr", float("nan"), "must be a finite number, got nan"),
    ("train.lr", float("inf"), "must be a finite number, got inf"),
    ("train.lr", "fast", "must be a number, got 'fast'"),
    ("train.momentum", 1, "must be < 1, got 1"),
    ("train.momentum", -0.5, "must be >= 0, got -0.5"),
    ("train.clip_norm", 0, "must be > 0, got 0"),
    ("train.optimizer", "lion", "must be 'sgd', 'adam' or 'adamw', got 'lion'"),
    (
        "train.init",
        "uniform",
        "must be 'default', 'he', 'he_over_sqrt_depth', 'xavier', 'orthogonal', 'lecun' or 'gpt2', got 'uniform'",
    ),
    ("train.batch_size", 0, "must be >= 1, got 0"),
    ("train.batch_size", 85, "must be <= 84, the rows of the train split, got 85"),
    ("train.seed", -1, "must be >= 0, got -1"),
    ("split.validation", 0, "must be > 0, got 0"),
    ("split.validation", 1, "must be < 1, got 1"),
    ("split.validation", 0.999, "must leave rows of each class on both sides, got 0.999 of 60 rows"),
    ("data.source", "web", "must be 'sklearn', 'hub' or 'file', got 'web'"),
    ("data.path", "", "must not be empty, got ''"),
    ("data.noise", -0.1, "must be >= 0, got -0.1"),
    ("data.samples", 19, "must be >= 20, got 19"),
    ("data.seed", 2**32, "must be <= 2147483648, got 4294967296"),
    ("probe.samples", 85, "must be <= 84, the rows of the train split, got 85"),
    ("probe.every", 0, "must be >= 1, got 0"),
    ("analysis.vanished_below", 0, "must be > 0, got 0"),
    ("plot.dpi", 5, "must be >= 50, got 5"),
    ("train.lr", 1e300, "must be <= 10000, got 1e+300"),
    ("data.noise", 1e200, "must be <= 1000, got 1e+200"),
    ("data.path", "a" * 1001, "must be no longer than 1000 characters, got 'aaaaaaaaaaaa...aaaaaaaaaaaaa'"),
    ("variants", {}, "must not be empty, got {}"),
    ("variants", None, "must hold keys and values, got None"),
    ("variants", ["plain"], "must hold keys and values, got ['plain']"),
    ("variants.plain", None, "must hold keys and values, got None"),
    ("variants.plain.block", "resnet", f"must be one of {BLOCKS}, got 'resnet'"),
    ("variants.plain.block", 7, f"must be one of {BLOCKS}, got 7"),
    ("variants.plain.block", ["plain"], f"must be one of {BLOCKS}, got ['plain']"),
    ("variants.residual.scale", "large", "must be a number, got 'large'"),
    ("variants.plain.depth", 0, "must be >= 1, got 0"),
    ("variants.plain.depth", "8", "must be a whole number, got '8'"),
    ("variants.plain.train", [1], "must hold keys and values, got [1]"),
    ("variants.plain.widths", [], "must not be empty, got []"),
    ("variants.plain.widths", [8, 8, 8, 8], "must have at most 3 entries, one a block, got 4"),
    (
        "variants.residual.widths",
        [8, 16],
        "must be of one width for residual blocks, which do not project their stream, got 8 to 16 at block 3",
    ),
]

NAME_RULE = "must be a letter followed by up to 39 letters, digits, _ or -"
WHOLE = "Known: depth, width, seeds, data, split, train, variants, probe, analysis, plot"
UNKNOWN = [
    ("dept", 4, f"unknown key; did you mean depth? {WHOLE}"),
    ("lr", 0.1, f"unknown key; did you mean train.lr? {WHOLE}"),
    ("colour", "red", f"unknown key. {WHOLE}"),
    ("data.sample", 9, "unknown key; did you mean samples? Known: source, path, revision, samples, noise, seed"),
    (
        "variants.residual.scal",
        1.0,
        "unknown key; did you mean scale? Known: block, depth, widths, train, scale, exponent",
    ),
    ("variants.plain.scale", 1.0, "unknown key. Known: block, depth, widths, train"),
    ("[key]", 1, f"unknown key. {WHOLE}"),
    (
        "train.[key]",
        "train",
        "unknown key. Known: epochs, batch_size, order, optimizer, lr, warmup, transfer, momentum, clip_norm,"
        " precision, loss_scale, init, seed",
    ),
]


@pytest.mark.parametrize(("key", "value", "rule"), VALUES + UNKNOWN)
def test_a_bad_value_is_refused(folder, key, value, rule):
    folder.change({key: value})

    assert refusal("check", "data/checked") == f"params.yaml: {key}: {rule}"


OVERRIDES = "Known: optimizer, lr, warmup, transfer, momentum, clip_norm, precision, loss_scale, init"


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("lr", -1, "must be > 0, got -1"),
        ("lr", None, "must be a number, got None"),
        ("clip_norm", 0, "must be > 0, got 0"),
        (
            "init",
            "uniform",
            "must be 'default', 'he', 'he_over_sqrt_depth', 'xavier', 'orthogonal', 'lecun' or 'gpt2', got 'uniform'",
        ),
        ("lrr", 0.1, f"unknown key; did you mean lr? {OVERRIDES}"),
        ("epochs", 9, f"unknown key; did you mean train.epochs? {OVERRIDES}"),
    ],
)
def test_a_bad_value_of_one_variant_is_refused(folder, key, value, rule):
    folder.change({"variants.plain.train": {key: value}})

    assert refusal("check", "data/checked") == f"params.yaml: variants.plain.train.{key}: {rule}"


TRANSFER = {"depth": 2, "width": 64, "exponent": 1.0}


@pytest.mark.parametrize("key", ["train.transfer", "variants.plain.train.transfer"])
def test_rules_for_adam_are_refused_for_sgd(folder, key):
    folder.change({key: TRANSFER} if key.startswith("train") else {"variants.plain.train": {"transfer": TRANSFER}})

    rule = "must be null with sgd: its rules are those of adam and adamw"
    assert refusal("check", "data/checked") == f"params.yaml: {key}: {rule}"


def test_rates_for_one_width_are_refused_for_several(folder):
    folder.change(
        {
            "train.optimizer": "adamw",
            "train.transfer": TRANSFER,
            "variants.plain": {"block": "plain", "widths": [64, 8]},
        }
    )

    rule = "must be null with train.transfer, which has one width"
    assert refusal("check", "data/checked") == f"params.yaml: variants.plain.widths: {rule}"


def test_one_variant_too_deep_for_memory_is_refused(folder):
    folder.change({"width": 1000, "variants.plain.depth": 1000})

    line = refusal("check", "data/checked")
    assert line == "params.yaml: width: must keep seeds * depth * width^2 <= 1,000,000,000, got 2,000,000,000"


def test_more_orders_than_fit_into_memory_are_refused(folder):
    folder.change({"train.order": "own", "data.samples": 200_000, "seeds": 1000, "width": 8})
    line = refusal("check", "data/checked")
    assert line == "params.yaml: seeds: must keep what is held at once <= 100,000,000 numbers, got 140,000,000"

    folder.change({"train.order": "shared"})
    load(Recipe)


def test_a_file_without_an_order_of_batches_is_one_in_which_seeds_share_it_and_so_are_its_results(folder):
    shared = configuration.of(load(Recipe), "plain")
    folder.change({"train.order": "own"})
    own = configuration.of(load(Recipe), "plain")
    document = folder.params()
    del document["train"]["order"]
    write("params.yaml", document)

    assert configuration.of(load(Recipe), "plain") == shared
    assert "order" not in shared["train"] and own["train"]["order"] == "own"
    for found, wanted, said in ((own, shared, "own, params.yaml says nothing"), (shared, own, "nothing, params.yaml")):
        with pytest.raises(RunError, match=f"was trained with train.order {said}"):
            configuration.check(Path("plain.json"), found, wanted)


def test_a_variant_takes_its_own_values_and_else_the_common_ones(folder):
    folder.change({"variants.plain": {"block": "plain", "depth": 9, "train": {"clip_norm": None, "init": "he"}}})
    config = load(Recipe)

    assert configuration.own(config, "residual") == config
    own = configuration.own(config, "plain")
    assert own.depth == 9
    assert own.train.model_dump() == config.train.model_dump() | {"clip_norm": None, "init": "he"}
    assert config.variants["residual"].settings() == {"scale": pytest.approx(0.5**0.5), "exponent": 0.0}


@pytest.mark.parametrize("name", ["a/b", "..", "../up", "", "1st", "a b", "x" * 41, "[key]"])
def test_a_variant_is_refused_whose_name_could_not_be_a_file_name(folder, name):
    document = folder.params()
    document["variants"][name] = {"block": "plain"}
    folder.change({"variants": document["variants"]})

    assert refusal("check", "data/checked") == f"params.yaml: variants.{name}: {NAME_RULE}, got {reprlib.repr(name)}"


def test_an_unknown_key_of_a_variant_is_named_whatever_the_variant_is_called(folder):
    for name in (5.5, True, None):
        folder.change({"variants": {name: {"block": "plain", "x": 1}}})

        assert "x: unknown key. Known: block, depth, widths, train" in refusal("check", "data/checked")


def test_a_missing_key_is_refused_and_a_misspelt_one_is_named(folder):
    document = folder.params()
    del document["depth"]
    write("params.yaml", document)
    assert refusal("check", "data/checked") == "params.yaml: depth: is missing"

    write("params.yaml", document | {"dept": 4})
    assert refusal("check", "data/checked") == f"params.yaml: dept: unknown key; did you mean depth? {WHOLE}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("depth: [4\n", "params.yaml, line 2: is not readable YAML: did not find expected ',' or ']'"),
        (
            "depth: 4\ndepth: 5\n",
            'params.yaml, line 2: is not readable YAML: found duplicate key "depth" with value "5"',
        ),
        (
            "train:\n  lr: 1\n  lr: 2\n",
            'params.yaml, line 3: is not readable YAML: found duplicate key "lr" with value "2"',
        ),
        ("- depth\n", "params.yaml: must hold keys and values, got ['depth']"),
        ("", "params.yaml: must hold keys and values, got None"),
        (
            "!!python/name:os.system x",
            "params.yaml, line 1: is not readable YAML: could not determine a constructor for the tag",
        ),
    ],
)
def test_a_file_that_holds_no_parameters_is_refused(folder, text, line):
    write("params.yaml", text)

    assert refusal("check", "data/checked").startswith(line)


def test_a_missing_or_unreadable_file_of_parameters_is_refused(folder):
    write("params.yaml", b"\x80")
    assert refusal("check", "data/checked").startswith("params.yaml: is not readable YAML: 'utf-8'")

    Path("params.yaml").unlink()
    assert refusal("check", "data/checked") == "params.yaml: no such file; run this where params.yaml lies"

    Path("params.yaml").mkdir()
    assert refusal("check", "data/checked") == "params.yaml: cannot be read: Is a directory"


def test_a_message_of_any_length_is_soon_one_line_that_can_be_read():
    said = RunError(f"a.yaml: {'://' * 300_000} is wrong").message

    assert len(said) < 5_010 and said.startswith("a.yaml: ") and said.endswith(" is wrong")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-05", 1e-05),
        ("1e-10", 1e-10),
        ("0.00001", 1e-05),
        ("5", 5.0),
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        ("020", 20.0),
    ],
)
def test_numbers_are_read_as_dvc_writes_and_reads_them(folder, text, number):
    lines = Path("params.yaml").read_text(encoding="utf-8").splitlines()
    kept = [f"  vanished_below: {text}" if "vanished_below:" in line else line for line in lines]
    write("params.yaml", "\n".join(kept))

    assert load(Recipe).analysis.vanished_below == number


# Bytes of a file of the user's own, and what is said of it.
NAMES = "must name the columns in its first line, e.g. x1,x2,label"
ROWS = "".join(f"{i / 10},{-i},{'ab'[i % 2]}\n" for i in range(60))
FILES = {
    "empty.csv": (b"", "empty.csv: cannot be read: Empty CSV file"),
    "no_rows.csv": (b"a,b,label\n", "no_rows.csv: must have rows, got none"),
    "no_names.csv": (
        b"0.1,0.2,0\n0.3,0.1,1\n",
        f"no_names.csv: {NAMES}; got 0.1,0.2,0, which could be a row",
    ),
    "no_names_text.csv": (ROWS.encode(), f"no_names_text.csv: {NAMES}; got 0.0,0,a, which could be a row"),
    "no_names_first.csv": (
        b"yes,0.1,0.2\nno,0.3,0.1\n yes, 0.2, 0.1\n",
        f"no_names_first.csv: {NAMES}; got yes,0.1,0.2, which could be a row",
    ),
    "no_names_true.csv": (
        b"0.1,0.2,True\n0.3,0.1,False\n0.5,0.1,True\n",
        f"no_names_true.csv: {NAMES}; got 0.1,0.2,True, which could be a row",
    ),
    "numbered.csv": (b"0,1,2\n3,4,1\n5,6,2\n", f"numbered.csv: {NAMES}; got 0,1,2, which could be a row"),
    "one_feature.csv": (
        b",a,label\n0,0.1,0\n1,0.2,1\n",
        "one_feature.csv: must have two feature columns and a label column, got a, label",
    ),
    "text.csv": (
        f"a,b,label\n{ROWS}4,many,a\n".encode(),
        "text.csv: column b: must hold numbers, got string, 'many' in row 61",
    ),
    "nan.csv": (
        f"a,b,label\n{ROWS}4,nan,a\n".encode(),
        "nan.csv: column b: must hold finite numbers, got nan in row 61",
    ),
    "lost_row.csv": (
        b"0.1,0.2,A\n0.3,0.4,B\n0.5,0.6,C\n0.7,0.1,B\n",
        "lost_row.csv: must name the columns in its first line, e.g. x1,x2,label; got 0.1,0.2,A, which could be a row",
    ),
    "behind.csv": (
        b",0.1,0.2,A\n1,0.3,0.5,B\n2,0.3,0.6,A\n",
        "behind.csv: must name the columns in its first line, e.g. x1,x2,label; got ,0.1,0.2,A, which could be a row",
    ),
    "spaces.csv": (f"a,b,label\n{ROWS}4,4, \n".encode(), "spaces.csv: column label: must have no gaps"),
    "gap.csv": (f"a,b,label\n{ROWS}4,,a\n".encode(), "gap.csv: column b: must have no gaps, got one in row 61"),
    "na.csv": (
        f"a,b,label\n{ROWS}4,NA,a\n".encode(),
        "na.csv: column b: must hold numbers, got string, 'NA' in row 61",
    ),
    "inf.csv": (
        f"a,b,label\n{ROWS}inf,4,a\n".encode(),
        "inf.csv: column a: must hold finite numbers, got inf in row 61",
    ),
    "one_class.csv": (
        f"a,b,label\n{ROWS.replace('b', 'a')}".encode(),
        "one_class.csv: column label: must hold two classes, got 1: a",
    ),
    "three_classes.csv": (
        f"a,b,label\n{ROWS}1,2,c\n".encode(),
        "three_classes.csv: column label: must hold two classes, got 3: a, b, c",
    ),
    "no_label.csv": (
        f"a,b,label\n{ROWS}1,2,\n".encode(),
        "no_label.csv: column label: must have no gaps, got one in row 61",
    ),
    "two_columns.csv": (
        b"a,label\n1,0\n",
        "two_columns.csv: must have two feature columns and a label column, got a, label",
    ),
    "semicolons.csv": (
        b"a;b;label\n1;2;0\n",
        "semicolons.csv: must have two feature columns and a label column, got a;b;label",
    ),
    "ragged.csv": (b"a,b,label\n1,2,0\n1,2\n", "ragged.csv: cannot be read: CSV parse error: Expected 3 columns"),
    "same_names.csv": (b"a,a,label\n1,2,0\n", "same_names.csv: must have three different column names"),
    "long_name.csv": (
        f"a,{'b' * 201},label\n{ROWS}".encode(),
        "long_name.csv: must have column names of up to 200 characters, got one of 201",
    ),
    "short.csv": (
        b"a,b,label\n1,2,0\n3,4,0\n5,6,1\n7,8,1\n",
        "params.yaml: train.batch_size and probe.samples: must be <= 2, the rows of the train split, got 32 and 32",
    ),
    "lonely.csv": (
        f"a,b,label\n{ROWS.replace('b', 'a')}1,2,b\n".encode(),
        "params.yaml: split.validation: must leave rows of each class on both sides, got 0.3 of 1 rows",
    ),
    "notes.txt": (b"hello", "params.yaml: data.path: must end in .csv or .parquet, got 'notes.txt'"),
    "latin.csv": ("a,b,größe\n1,2,0\n".encode("latin-1"), "latin.csv: cannot be read: 'utf-8' codec"),
    "huge.csv": (
        f"a,b,label\n{ROWS}1e300,4,a\n".encode(),
        "huge.csv: column a: must hold numbers up to 1e+30, got 1e+300",
    ),
    "text.parquet": (b"a,b,label\n1,2,0\n", "text.parquet: cannot be read: Parquet magic bytes not found"),
}


@pytest.mark.parametrize("stage", ["check", "fetch"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used_is_refused(folder, stage, name):
    held, line = FILES[name]
    write(name, held)
    folder.change({"data.source": "file", "data.path": name})

    assert refusal(stage, *ARGUMENTS[stage]).startswith(line)


@pytest.mark.parametrize("stage", ["check", "fetch"])
def test_a_missing_file_is_refused(folder, stage):
    folder.change({"data.source": "file", "data.path": "data/own/gone.csv"})

    expected = "params.yaml: data.path: must name a file, found none at 'data/own/gone.csv'"
    assert refusal(stage, *ARGUMENTS[stage]) == expected


@pytest.mark.parametrize("stage", ["check", "fetch"])
def test_a_truncated_parquet_file_is_refused(folder, stage):
    pq.write_table(moons(60), "cut.parquet")
    whole = Path("cut.parquet").read_bytes()
    write("cut.parquet", whole[: len(whole) // 2])
    folder.change({"data.source": "file", "data.path": "cut.parquet"})

    assert refusal(stage, *ARGUMENTS[stage]).startswith("cut.parquet: cannot be read: Parquet magic bytes not found")


ARGUMENTS = {"check": ("data/checked",), "fetch": ("data/raw/moons.parquet", "data/raw/source.json")}


def moons(rows):
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % 2
    return pa.table({"a": rng.normal(size=rows) + labels, "b": rng.normal(size=rows), "label": labels})


def write(path, held):
    """Write bytes, text, or parameters."""
    text = held if isinstance(held, str | bytes) else yaml.safe_dump(held)
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())


def test_the_commands_themselves_end_with_2_and_one_line(project):
    project.change({"train.lr": "fast"})
    before = content(project.root, OUTPUTS)

    for stage, arguments in ARGUMENTS.items():
        done = project.run("python", "-m", f"stages.{stage}", *arguments, code=2)
        line = the_line(done.returncode, done.stderr)
        assert line == "params.yaml: train.lr: must be a number, got 'fast'"
        assert done.stdout == ""

    assert content(project.root, OUTPUTS) == before


def test_dvc_repro_shows_the_line_and_touches_no_output(project):
    before = content(project.root, OUTPUTS)
    own = project.root / "data" / "own" / "mine.csv"

    for change, line in [
        ({"depth": 0}, "params.yaml: depth: must be >= 1, got 0"),
        ({"depth": 3, "variants.a/b": {"block": "plain"}}, f"params.yaml: variants.a/b: {NAME_RULE}, got 'a/b'"),
    ]:
        project.change(change)
        assert f"gradflow: {line}\n" in project.run("dvc", "repro", code=255).stderr
        assert content(project.root, OUTPUTS) == before

    project.run("git", "checkout", "--quiet", "params.yaml")
    own.write_bytes(FILES["text.csv"][0])
    project.change({"data.source": "file", "data.path": "data/own/mine.csv"})
    before = content(project.root, OUTPUTS)
    line = "gradflow: data/own/mine.csv: column b: must hold numbers, got string, 'many' in row 61\n"
    assert line in project.run("dvc", "repro", code=255).stderr
    assert content(project.root, OUTPUTS) == before


ENVIRONMENT = [
    ("GRADFLOW_DEVICE", "cuda:0", "must be cpu or cuda, got 'cuda:0'"),
    ("GRADFLOW_THREADS", "auto", "must be a whole number from 1 to 1024, got 'auto'"),
    ("GRADFLOW_THREADS", "1025", "must be a whole number from 1 to 1024, got '1025'"),
    ("GRADFLOW_THREADS", "9" * 5000, "must be a whole number from 1 to 1024, got '999"),
    ("GRADFLOW_SAVE_SECONDS", "5s", "must be a whole number from 0 to 86400, got '5s'"),
    ("GRADFLOW_STATES", "states", "must be an absolute path, got 'states'"),
]


@pytest.mark.parametrize(("variable", "value", "rule"), ENVIRONMENT)
def test_the_first_stage_refuses_an_environment_in_which_a_later_one_could_not_work(clone, variable, value, rule):
    for stage in ("check", "scale"):
        done = clone.run("python", "-m", f"stages.{stage}", "data/checked", code=2, **{variable: value})
        assert the_line(2, done.stderr).startswith(f"environment: {variable}: {rule}")
    assert not (clone.root / "data/checked").exists()


@pytest.mark.parametrize("skipped", ["nothing", "check"])
def test_dvc_repro_refuses_an_environment_before_it_touches_networks(project, skipped):
    """Whatever runs first says so: where the rows have changed that is not check."""
    (project.root / "data" / "own" / "new").touch()
    project.change({"depth": 4} if skipped == "nothing" else {})
    before = content(project.root, OUTPUTS)

    done = project.run("dvc", "repro", code=255, GRADFLOW_THREADS="auto")

    rule = "must be a whole number from 1 to 1024, got 'auto'"
    assert f"gradflow: environment: GRADFLOW_THREADS: {rule}\n" in done.stderr
    assert ("Running stage 'check'" in done.stdout) == (skipped == "nothing")
    assert content(project.root, OUTPUTS) == before


def test_a_batch_larger_than_a_file_of_ones_own_is_refused_before_networks_are_deleted(project):
    own = project.root / "data" / "own" / "mine.csv"
    own.write_text(f"a,b,label\n{ROWS}", encoding="utf-8")
    project.change({"data.source": "file", "data.path": "data/own/mine.csv"})
    project.repro("scale")
    project.change({"train.batch_size": 43})
    before = content(project.root, OUTPUTS)

    stderr = project.run("dvc", "repro", code=255).stderr

    assert "gradflow: params.yaml: train.batch_size: must be <= 42, the rows of the train split, got 43\n" in stderr
    assert content(project.root, OUTPUTS) == before


@pytest.mark.parametrize(
    ("change", "dvc_says", "check_says"),
    [
        ({"variants": None}, "'stages.train.foreach'", "variants: must hold keys and values, got None"),
        ({"variants": "plain"}, "'stages.train.foreach'", "variants: must hold keys and values, got 'plain'"),
        ({"variants": ["plain"]}, "'stages.train@plain.deps'", "variants: must hold keys and values, got ['plain']"),
        ({"variants.plain": {}}, "Could not find 'item.block'", "variants.plain.block: is missing"),
    ],
)
def test_variants_that_dvc_cannot_resolve_are_refused_by_dvc_and_explained_by_check(
    project, change, dvc_says, check_says
):
    """DVC reads the variants before it runs anything: it then speaks in place of check, and changes nothing."""
    before = content(project.root, OUTPUTS)
    project.change(change)

    assert dvc_says in project.run("dvc", "repro", code=255).stderr
    done = project.run("python", "-m", "stages.check", "data/checked", code=2)
    assert the_line(2, done.stderr) == f"params.yaml: {check_says}"
    assert content(project.root, OUTPUTS) == before


def test_an_experiment_with_an_unknown_key_fails_and_leaves_nothing(project):
    """DVC itself refuses to set a key that params.yaml does not have; with a plus, it adds it and check refuses."""
    before = content(project.root, (*OUTPUTS, "params.yaml"))
    stderr = project.run("dvc", "exp", "run", "-S", "dept=4", code=255).stderr
    assert "Could not override 'dept'" in stderr
    assert content(project.root, (*OUTPUTS, "params.yaml")) == before

    stderr = project.run("dvc", "exp", "run", "-S", "+dept=4", code=255).stderr
    assert f"gradflow: params.yaml: dept: unknown key; did you mean depth? {WHOLE}\n" in stderr
    # DVC makes the folders that outputs of other pipelines will lie in.
    after = {path: held for path, held in content(project.root, OUTPUTS).items() if path in before or held is not None}
    assert after == {path: held for path, held in before.items() if path.name != "params.yaml"}
    assert project.run("dvc", "exp", "list").stdout == ""


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("depth: 1:30", "depth: must be a whole number, got '1:30'"),  # 90 to YAML 1.1
        ("depth: on", "depth: must be a whole number, got 'on'"),  # true to YAML 1.1
        ("depth: 3.", "depth: must be a whole number, got 3.0"),
        ("depth: 12e4567", "depth: must be a whole number, got inf"),
        ("depth: 2026-01-31", "depth: must be a whole number, got datetime.date(2026, 1, 31)"),
    ],
)
def test_what_is_no_whole_number_to_dvc_is_refused(folder, written, rule):
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("depth: 3", written), encoding="utf-8")

    assert refusal("check", "data/checked") == f"params.yaml: {rule}"


@pytest.mark.parametrize(
    ("written", "shown"),
    [("12e4567", "inf"), ("020", "20"), ("2026-01-31", "datetime.date(2026, 1, 31)"), ("true", "True"), (".5", "0.5")],
)
def test_a_text_that_is_none_to_dvc_wants_quotes(folder, written, shown):
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert "revision: null" in text

    write("params.yaml", text.replace("revision: null", f"revision: {written}"))
    line = f"params.yaml: data.revision: must be text: put it into quotes, got {shown}"
    assert refusal("check", "data/checked") == line
    write("params.yaml", text.replace("revision: null", f"revision: '{written}'"))
    assert load(Recipe).data.revision == written


def test_networks_too_large_for_any_memory_are_refused(folder):
    folder.change({"depth": 10_000, "width": 16_384})

    assert refusal("check", "data/checked").startswith("params.yaml: width: must keep seeds * depth * width^2 <= 1,000")


def test_variants_that_would_share_a_file_on_some_systems_are_refused(folder):
    folder.change({"variants.Plain": {"block": "plain"}})

    expected = "params.yaml: variants: must differ in more than upper and lower case, got plain"
    assert refusal("check", "data/checked") == expected


def test_a_file_nested_without_end_is_refused(folder):
    write("params.yaml", b"[" * 5000)

    assert refusal("check", "data/checked") == "params.yaml: is nested too deeply"


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("logs/plain.json", "gradients"),
        ("models/plain.safetensors", "track"),
        ("logs/plain.boundary.parquet", "plot"),
        ("data/raw/moons.parquet", "scale"),
        ("data/scaled/val.parquet", "train@plain"),
    ],
)
def test_what_an_earlier_stage_left_is_named_when_it_is_missing(project, path, stage):
    (project.root / path).unlink()
    done = project.run("sh", "-c", project.lock()["stages"][stage]["cmd"], code=1, DVC_STAGE=stage)

    assert done.stderr.startswith("gradflow: ") and done.stderr.count("\n") == 1
    assert path in done.stderr and "`dvc repro`" in done.stderr
