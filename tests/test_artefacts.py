"""What is read of tables and documents is what their writers write, or is refused in one line."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from gradflow.analysis.spread import Metrics, Spread
from gradflow.files import documents, parquet
from gradflow.guards.errors import RunError
from gradflow.tables import artefacts
from gradflow.tables.columns import FROM_1, NUMBER, SHARE, SIZE, Column, by_variant, within

COLUMNS = within({"seed": FROM_1, "norm": SIZE, "share": SHARE, "mean": NUMBER, "ratio": Column(gaps=True)}, seed=3)
ROWS = {"seed": [1, 2, 3], "norm": [0.0, 1e30, 2.0], "share": [0.0, 0.5, 1.0], "mean": [-1.0, 0.0, 1.0]}
RATIO = pa.array([1.0, None, -2.0])


def refusal(read, path, *arguments):
    with pytest.raises(RunError) as error:
        read(path, *arguments)
    message = error.value.message
    assert message.startswith(f"{path}: ") and message.endswith("; delete it and run `dvc repro`, which makes it anew")
    return message.removeprefix(f"{path}: ").split("; delete it")[0]


def table(path, **changes):
    parquet.write(path, pa.table(ROWS | {"ratio": RATIO} | changes))
    return path


def test_a_table_in_order_is_read(tmp_path):
    found = artefacts.read_table(table(tmp_path / "a.parquet"), COLUMNS)
    assert found["norm"].tolist() == ROWS["norm"] and found["ratio"].isna().tolist() == [False, True, False]

    artefacts.write_csv(tmp_path / "a.csv", found)
    assert artefacts.read_table(tmp_path / "a.csv", COLUMNS).equals(found)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"more": [1, 2, 3]}, "must have the columns seed, norm, share, mean, ratio"),
        ({"seed": [0, 1, 2]}, "column seed must hold 1 to 3"),
        ({"seed": [1, 2, 4]}, "column seed must hold 1 to 3"),
        ({"seed": [1, 2, 2]}, "has a row twice"),
        ({"norm": [0.0, -1.0, 2.0]}, "column norm must hold 0 to inf"),
        ({"share": [0.0, 0.5, 1.001]}, "column share must hold 0 to 1"),
        ({"mean": [0.0, float("inf"), 1.0]}, "column mean must hold finite numbers"),
        ({"mean": pa.array([0.0, None, 1.0])}, "column mean must hold finite numbers"),
        ({"ratio": [0.0, float("-inf"), 1.0]}, "column ratio must hold finite numbers"),
    ],
)
def test_a_table_that_holds_something_else_is_refused(tmp_path, ending, changes, said):
    path = table(tmp_path / "a.parquet", **changes)
    if ending == "csv":
        artefacts.write_csv(path.with_suffix(".csv"), pq.read_table(path).to_pandas())

    assert refusal(artefacts.read_table, path.with_suffix(f".{ending}"), COLUMNS) == said


def test_a_table_with_any_bit_flipped_is_refused_or_the_same(tmp_path):
    path = table(tmp_path / "a.parquet")
    content, whole = path.read_bytes(), artefacts.read_table(path, COLUMNS)
    refused = 0
    for bit in range(0, 8 * len(content), 61):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert artefacts.read_table(path, COLUMNS).equals(whole), bit
        except RunError:
            refused += 1
    assert refused > len(content) * 8 // 61 / 3  # some bits of the footer mean nothing to a reader


@pytest.mark.parametrize("kind", [pa.string(), pa.float64()])
def test_a_column_of_another_kind_is_refused(tmp_path, kind):
    path = table(tmp_path / "a.parquet", seed=pa.array([1, 2, 3]).cast(kind))

    assert refusal(artefacts.read_table, path, COLUMNS) == "column seed must hold ints"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read (its last line is cut off)"),
        ("variant,seed\nplain,1\nplain,", "cannot be read (its last line is cut off)"),
        ("variant,seed\nplain,one\n", "cannot be read (invalid literal for int() with base 10: 'one'"),
        ("variant,seed\nplain,1.5\n", "cannot be read ("),
        ("variant,seed\nplain,\n", "cannot be read ("),
        ("variant,seed\nplain,1,1\nplain,2\n", "cannot be read ("),
        ('variant,seed\n"plain,1\n', "cannot be read ("),
        ("variant,seed\nplain\xff,1\n", "cannot be read ('utf-8' codec can't decode byte 0xff"),
        ("variant,seed\nplane,1\n", "column variant must hold plain, null"),
        ("variant,seed\nplain,1\nplain,1\n", "has a row twice"),
        ("variant\nplain\n", "must have the columns variant, seed"),
    ],
)
def test_a_text_that_is_no_such_table_is_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))

    found = refusal(artefacts.read_table, tmp_path / "a.csv", by_variant({"seed": FROM_1}, ["plain", "null"]))
    assert found.startswith(said)


def test_a_variant_may_be_called_null(tmp_path):
    (tmp_path / "a.csv").write_text("variant,seed\nnull,1\nplain,1\n")

    found = artefacts.read_table(tmp_path / "a.csv", by_variant({"seed": FROM_1}, ["plain", "null"]))
    assert found["variant"].tolist() == ["null", "plain"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", '"1"', "[Infinity]"])
def test_what_is_no_finite_number_is_no_metric(tmp_path, number):
    (tmp_path / "metrics.json").write_text(f'{{"a": {{"loss": {number}}}}}')

    assert refusal(documents.read, tmp_path / "metrics.json", Metrics).startswith("a.loss.")


SPREAD = {"mean": 1.5, "std": 0.5, "min": 1, "max": 2, "seeds": 2}


def test_metrics_are_numbers_and_spreads_and_lists_of_either(tmp_path):
    path = tmp_path / "metrics.json"
    document = {
        "a": {"loss": SPREAD, "ratio": None, "seeds": 2, "norms": [SPREAD], "theory": [1, None], "lost": [{"seed": 1}]}
    }
    path.write_text(json.dumps(document))

    assert documents.read(path, Metrics) == document


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read (Expecting value"),
        ('{"a": {', "cannot be read (Expecting property name"),
        ("[]", "input should be a valid dictionary"),
        (json.dumps({"a": SPREAD | {"mean": "1.5"}}), "a.mean: input should be a valid number"),
        (json.dumps({"a": SPREAD | {"mean": float("nan")}}), "a.mean: input should be a finite number"),
        (json.dumps({"a": SPREAD}).replace("1.5", "1e999"), "a.mean: input should be a finite number"),
        (json.dumps({"a": SPREAD | {"seeds": 2.5}}), "a.seeds: input should be a valid integer"),
        (json.dumps({"a": {**SPREAD, "Mean": 1}}).replace('"mean"', '"meen"'), "a.mean: field required"),
        (json.dumps({"b": SPREAD}), "must hold a, got b"),
    ],
)
def test_a_document_of_another_form_is_refused(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)

    assert refusal(documents.read_by_variant, tmp_path / "a.json", Spread, ["a"]).startswith(said)
