"""Rows from scikit-learn, from files of the user's own, and from the hub or a folder in its layout."""

import json
import threading
from datetime import date
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import make_moons

from gradflow.data import sources
from gradflow.guards.errors import InputError
from gradflow.params.loading import load
from gradflow.recipe import Recipe

ROOT = Path(__file__).parents[1]
OTHERS = "data.source can also be sklearn or file"
FETCH = ("python", "-m", "stages.fetch", "data/raw/moons.parquet", "data/raw/source.json")


@pytest.fixture
def loaded(fresh, tmp_path):
    """Load rows in this process, with some parameters changed."""

    def of(**data):
        config = load(Recipe, fresh.root / "params.yaml")
        return sources.load(config.model_copy(update={"data": config.data.model_copy(update=data)}))

    return of


def table(rows=60, classes=("no", "yes")):
    """Features a, b and a label, in which the sum of the features tells the class."""
    rng = np.random.default_rng(0)
    label = np.arange(rows) % 2
    return pd.DataFrame({"a": rng.normal(size=rows) + 3 * label, "b": rng.normal(size=rows), "label": label}).assign(
        label=lambda frame: np.array(classes)[frame["label"]]
    )


def test_moons_are_those_of_scikit_learn_with_the_seed_and_noise_asked_for(loaded):
    points, labels, about = loaded(samples=200, noise=0.1, seed=5)
    expected_points, expected_labels = make_moons(n_samples=200, noise=0.1, random_state=5)

    np.testing.assert_array_equal(points, expected_points)
    np.testing.assert_array_equal(labels, expected_labels)
    assert (about["classes"], about["features"]) == ({"0": 100, "1": 100}, ["x1", "x2"])
    assert not np.array_equal(points, loaded(samples=200, noise=0.1, seed=6)[0])


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".parquet"])
@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("a", "b", "label"), "ab*"),
        (("a", "b", "Target"), "*ab"),
        (("a", "b", "class"), "a*b"),
        (("a", "b", "y"), "*ab"),
        (("x", "y", "label"), "ab*"),
        (("x", "y", "colour"), "ab*"),
        (("label 2", "b", "colour"), "ab*"),
    ],
)
def test_the_label_is_found_by_its_name_else_it_is_the_last_column(loaded, tmp_path, ending, names, order):
    rows = table()
    named = dict(zip("ab*", names, strict=True))
    path = tmp_path / f"own rows{ending}"
    frame = rows.rename(columns={"a": named["a"], "b": named["b"], "label": named["*"]})[[named[c] for c in order]]
    frame.to_csv(path, index=False) if ending.lower() == ".csv" else frame.to_parquet(path)

    points, labels, about = loaded(source="file", path=str(path))

    np.testing.assert_array_equal(points, rows[["a", "b"]].to_numpy())
    np.testing.assert_array_equal(labels, (rows["label"] == "yes").to_numpy())
    assert about["classes"] == {"no": 30, "yes": 30}
    assert about["features"] == [named[column] for column in order if column != "*"]


def with_spaces(frame, path):
    text = frame.to_csv(index=False).replace(",", " , ").replace("yes", "yes ", 1)
    path.write_text(text, encoding="utf-8")


def twice_with_index(frame, path):
    frame.to_csv(path)
    pd.read_csv(path).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("names", "ending", "write"),
    [
        (["label", "a", "b"], "csv", with_spaces),
        (["0", "1", "label"], "csv", partial(pd.DataFrame.to_csv, index=False)),
        (["label", "a", "b"], "csv", pd.DataFrame.to_csv),
        (["0", "1", "2"], "csv", pd.DataFrame.to_csv),
        (["label", "a", "b"], "csv", twice_with_index),
        (["label", "a", "b"], "parquet", pd.DataFrame.to_parquet),
    ],
    ids=["spaces", "numbers and a word", "index", "index and numbers", "index, twice", "index in Parquet"],
)
def test_a_shuffled_table_is_read_as_people_and_pandas_write_it(loaded, tmp_path, names, ending, write):
    rows = table().sample(frac=1, random_state=0)
    frame = rows[["label", "a", "b"] if names[0] == "label" else ["a", "b", "label"]].set_axis(names, axis=1)
    write(frame, tmp_path / f"own.{ending}")

    points, labels, about = loaded(source="file", path=str(tmp_path / f"own.{ending}"))

    np.testing.assert_array_equal(points, rows[["a", "b"]].to_numpy())
    np.testing.assert_array_equal(labels, (rows["label"] == "yes").to_numpy())
    assert about["classes"] == {"no": 30, "yes": 30}
    assert about["features"] == [name for name in names if name not in ("label", "2")]


@pytest.mark.parametrize("classes", [(0, 1), (-1, 1), (1.0, 2.0), (False, True), ("7", "abc")])
def test_two_classes_of_any_kind_become_0_and_1(loaded, tmp_path, classes):
    table(classes=classes).to_parquet(tmp_path / "own.parquet")

    _, labels, about = loaded(source="file", path=str(tmp_path / "own.parquet"))

    assert labels.tolist() == [0, 1] * 30
    assert about["classes"] == {str(name): 30 for name in classes}


def test_integers_and_categories_are_read(loaded, tmp_path):
    rows = table().assign(a=range(60), label=lambda frame: frame["label"].astype("category"))
    rows.to_parquet(tmp_path / "own.parquet")

    points, labels, _ = loaded(source="file", path=str(tmp_path / "own.parquet"))

    assert points[:, 0].tolist() == list(range(60))
    assert labels.tolist() == [0, 1] * 30


@pytest.mark.parametrize("kept", [[0, 1], [[0], [1]]])
def test_a_label_that_is_no_plain_value_is_refused(loaded, tmp_path, kept):
    table().assign(label=[kept] * 60).to_parquet(tmp_path / "own.parquet")

    with pytest.raises(InputError, match="column label: must hold one value a row, got list"):
        loaded(source="file", path=str(tmp_path / "own.parquet"))


@pytest.mark.parametrize(
    "kind",
    [
        pa.binary(1_000_001),
        pa.struct({"a": pa.string()}),
        pa.list_(pa.string()),
        pa.list_(pa.int8(), 2),
        pa.map_(pa.string(), pa.string()),
    ],
    ids=str,
)
def test_a_column_of_which_a_row_may_hold_much_is_refused_before_it_is_unpacked(loaded, tmp_path, monkeypatch, kind):
    path = tmp_path / "own.parquet"
    pq.write_table(pa.table({"a": [1.0], "b": [2.0], "label": pa.nulls(1, kind)}), path)
    monkeypatch.setattr(pq.ParquetFile, "read", None)

    with pytest.raises(InputError, match="column label: must hold one value a row, got "):
        loaded(source="file", path=str(path))


@pytest.mark.parametrize("classes", [(date(2026, 1, 1), date(2026, 1, 2)), (Decimal("0.5"), Decimal("1.5"))])
def test_labels_may_be_of_any_kind_of_which_a_row_holds_one_number(loaded, tmp_path, classes):
    rows = pa.Table.from_pandas(table()).set_column(2, "label", pa.array(classes * 30))
    pq.write_table(rows, tmp_path / "own.parquet")

    assert loaded(source="file", path=str(tmp_path / "own.parquet"))[1].tolist() == [0, 1] * 30


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_are_counted_whatever_the_file(loaded, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(sources.dataset, "MOST_ROWS", 59)
    path = tmp_path / f"own.{ending}"
    table().to_csv(path, index=False) if ending == "csv" else table().to_parquet(path)

    with pytest.raises(InputError, match="must have at most 59 rows, got 60"):
        loaded(source="file", path=str(path))


def test_each_source_leaves_the_same_columns_and_says_what_it_was(clone):
    clone.run(*FETCH)
    made = pq.read_table(clone.root / "data/raw/moons.parquet").schema
    assert json.loads((clone.root / "data/raw/source.json").read_text(encoding="utf-8")) == {
        "source": "sklearn",
        "path": None,
        "revision": None,
        "rows": 120,
        "classes": {"0": 60, "1": 60},
        "features": ["x1", "x2"],
    }

    table().to_csv(clone.root / "data/own/mine.csv", index=False)
    clone.change({"data.source": "file", "data.path": "data/own/mine.csv"})
    clone.run(*FETCH)
    assert pq.read_table(clone.root / "data/raw/moons.parquet").schema == made
    assert json.loads((clone.root / "data/raw/source.json").read_text(encoding="utf-8")) == {
        "source": "file",
        "path": "data/own/mine.csv",
        "revision": None,
        "rows": 60,
        "classes": {"no": 30, "yes": 30},
        "features": ["a", "b"],
    }


@pytest.mark.parametrize(
    "files", [["train.csv"], ["train.csv", "test.csv"], ["data/train-00000.parquet", "data/validation-00000.parquet"]]
)
def test_a_folder_in_the_layout_of_the_hub_is_read_with_all_its_splits(clone, files):
    rows = table()
    for number, name in enumerate(files):
        path = clone.root / "my set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = rows.iloc[number :: len(files)]
        part.to_csv(path, index=False) if path.suffix == ".csv" else part.to_parquet(path, index=False)
    clone.change({"data.source": "hub", "data.path": "my set"})

    done = clone.run(*FETCH)

    assert (done.stdout, done.stderr) == ("", "")
    got = pq.read_table(clone.root / "data/raw/moons.parquet").to_pandas().sort_values("x2")
    expected = rows.sort_values("b")
    np.testing.assert_array_equal(got[["x1", "x2"]], expected[["a", "b"]])
    np.testing.assert_array_equal(got["label"], expected["label"] == "yes")
    about = json.loads((clone.root / "data/raw/source.json").read_text(encoding="utf-8"))
    assert (about["source"], about["path"], about["rows"]) == ("hub", "my set", 60)


def test_folders_that_hold_no_table_are_refused_in_one_line(clone):
    for folder in ("nothing", "damaged", "different", "scripted"):
        (clone.root / folder).mkdir()
    (clone.root / "scripted" / "scripted.py").write_text(f"open({str(clone.root / 'executed')!r}, 'w')\n")
    (clone.root / "damaged" / "train.parquet").write_bytes(b"PAR1 and no more")
    table().to_csv(clone.root / "different" / "train.csv", index=False)
    table().rename(columns={"a": "c"}).to_csv(clone.root / "different" / "test.csv", index=False)

    for path in ("nothing", "damaged", "different", "scripted", "no such name!", "deep/er/folder"):
        clone.change({"data.source": "hub", "data.path": path})
        done = clone.run(*FETCH, code=2)
        assert done.stdout == ""
        assert done.stderr.startswith(f"gradflow: params.yaml: data.path: {path!r} cannot be read: ")
        assert done.stderr.endswith(f"; {OTHERS}\n") and done.stderr.count("\n") == 1
    assert not (clone.root / "executed").exists()


def test_the_hub_offline_is_one_line_and_leaves_the_former_rows(project):
    project.change({"data.source": "hub"})
    before = {path: path.read_bytes() for path in (project.root / "data").rglob("*") if path.is_file()}
    line = f"gradflow: the hub cannot be reached for data set 'openml/two_moons'; try again later; {OTHERS}\n"

    done = project.run(*FETCH, code=1, HF_HUB_OFFLINE="1")
    assert (done.stdout, done.stderr) == ("", line)

    assert line in project.run("dvc", "repro", code=255, HF_HUB_OFFLINE="1").stderr
    assert {path: path.read_bytes() for path in (project.root / "data").rglob("*") if path.is_file()} == before


def test_a_hub_that_does_not_answer_is_one_line(clone):
    """The client of the hub tries six times, for 23 seconds in all."""
    clone.change({"data.source": "hub"})

    done = clone.run(*FETCH, code=1, HF_ENDPOINT="http://127.0.0.1:9")

    line = f"gradflow: the hub cannot be reached for data set 'openml/two_moons'; try again later; {OTHERS}\n"
    assert (done.stdout, done.stderr) == ("", line)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ("RepoNotFound", 2, "params.yaml: data.path: must name a data set of the hub, found none at 'some/moons'"),
        ("RevisionNotFound", 2, "found none at 'some/moons' at revision 'v2'"),
        (None, 1, "data set 'some/moons' was not got: Server disconnected"),
    ],
)
def test_what_the_hub_refuses_is_one_line(clone, answer, code, says):
    clone.change({"data.source": "hub", "data.path": "some/moons", "data.revision": "v2"})

    with ThreadingHTTPServer(("127.0.0.1", 0), hub_that_answers(answer)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = clone.run(*FETCH, code=code, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()

    assert says in done.stderr
    assert done.stderr.startswith("gradflow: ") and done.stderr.endswith(f"; {OTHERS}\n")
    assert done.stderr.count("\n") == 1


def hub_that_answers(error):
    """A web server that knows nothing, says so as the hub does, or hangs up."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            if error:
                self.send_response(404)
                self.send_header("X-Error-Code", error)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.close_connection = True

        do_GET = do_HEAD  # noqa: N815  # the name that http.server calls

        def log_message(self, *_):
            pass

    return Hub


def test_a_changed_file_of_ones_own_is_fetched_again_and_a_broken_one_leaves_the_former_rows(project):
    own = project.root / "data/own/mine.csv"
    table().to_csv(own, index=False)
    project.change({"data.source": "file", "data.path": "data/own/mine.csv"})
    assert project.repro("fetch") == {"check", "fetch"}
    (own.parent / ".DS_Store").touch()  # as macOS does where somebody has looked at the folder
    assert project.repro("fetch") == set()

    table(80).to_csv(own, index=False)
    assert project.repro("fetch") == {"fetch"}
    raw = project.root / "data/raw/moons.parquet"
    assert pq.read_metadata(raw).num_rows == 80
    before = raw.read_bytes()

    own.write_text("a,b,label\n", encoding="utf-8")
    stderr = project.run("dvc", "repro", "fetch", code=255).stderr
    assert "gradflow: data/own/mine.csv: must have rows, got none\n" in stderr
    assert raw.read_bytes() == before
