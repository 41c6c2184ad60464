"""The stage track against real databases: what is logged, once each, and what outlives kills and losses."""

import json
import math
import re
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, RESOURCE_DOES_NOT_EXIST

from gradflow import checkpoints
from gradflow.data import dataset
from gradflow.guards.errors import RunError
from gradflow.tracking import result, runs
from gradflow.tracking.entry import DataSet

TRACK = ("python", "-m", "stages.track", "data", "models", "logs", "reports", "data/tracked")
ALL = ("python", "-m", "pipelines.track_all")
VARIANTS = ("plain", "residual")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own


def artefacts(project):
    root = project.root
    return result.Artefacts(
        root / "params.yaml", root / "dvc.lock", root / "data", root / "models", root / "logs", root / "reports"
    )


def test_two_experiments_at_once_on_a_fresh_database_lose_nothing(tracked, look):
    view = look(tracked.root)

    assert {run.info.run_name for run in view.everything} == {
        f"depth-{depth}{name}" for depth in (4, 8) for name in ("", " plain", " residual")
    }
    assert {run.info.status for run in view.everything} == {"FINISHED"}
    assert len(view.parents) == 2 and len(view.children) == 4
    for name, parent in view.parents.items():
        for variant in VARIANTS:
            assert view.children[f"{name} {variant}"].data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_an_experiment_in_a_copy_tracks_into_the_main_checkout(tracked, look):
    for run in look(tracked.root).everything:
        assert run.info.artifact_uri.startswith((tracked.root / "mlartifacts").as_uri())
    assert tracked.run("git", "status", "--porcelain").stdout == ""


def test_a_run_has_its_parameters_tags_inputs_and_files(tracked, look):
    view = look(tracked.root)
    parent, child = view.parents["depth-4"], view.children["depth-4 residual"]
    head = tracked.run("git", "rev-parse", "HEAD").stdout.strip()
    locked = (tracked.root / "dvc.lock").read_text(encoding="utf-8")

    for run in (parent, child):
        assert run.data.params["depth"] == "4"
        assert run.data.params["data.revision"] == "null"
        assert run.data.params["variants.residual.scale"] == "0.7071067811865476"
        assert run.data.tags["git_commit"] == run.data.tags["dvc_baseline_rev"] == head
        assert run.data.tags["dvc_exp_name"] == "depth-4"
        assert run.data.tags["device"] == "cpu"
        assert run.data.tags["threads"] == "1"
        assert run.data.tags["version_torch"] == torch.__version__
        assert run.data.tags["diverged_seeds"] == "none"
        train, validation = run.inputs.dataset_inputs
        assert train.dataset.digest in locked and validation.dataset.digest in locked
        assert train.tags[0].value == "training"
    assert len(parent.data.tags["fingerprint"]) == 64
    assert files(view, parent) == {
        "dvc.lock", "figures", "gradient_norms.csv", "history.csv", "metrics.json", "params.yaml", "probe.csv"
    }  # fmt: skip
    assert {"figures/gradient_flow.png", "figures/gradient_flow.svg"} <= files(view, parent, "figures")
    assert files(view, child, "checkpoints") == {"checkpoints/residual.safetensors"}


def files(view, run, folder=None):
    return {file.path for file in view.client.list_artifacts(run.info.run_id, folder)}


def test_curves_are_those_of_the_tables(tracked, look):
    view = look(tracked.root)
    logged = folder(tracked, view.parents["depth-8"])
    history = pd.read_csv(logged / "history.csv").query("variant == 'plain'")
    norms = pd.read_csv(logged / "gradient_norms.csv").query("variant == 'plain'")

    child = view.children["depth-8 plain"]
    for name, expected in {
        "curves/val_loss": history.groupby("epoch")["val_loss"].mean(),
        "spread/val_accuracy": history.groupby("epoch")["val_accuracy"].std(ddof=0),
        "curves/log10_grad_norm_first_block": np.log10(by_epoch(norms, 1)),
        "curves/log10_grad_norm_last_block": np.log10(by_epoch(norms, 8)),
    }.items():
        points = view.client.get_metric_history(child.info.run_id, name)
        assert {point.step: point.value for point in points} == pytest.approx(expected.to_dict(), rel=1e-12), name
    means = history[history["epoch"] == history["epoch"].max()][["train_loss", "val_loss", "val_accuracy"]].mean()
    assert {name: child.data.metrics[name] for name in means.index} == pytest.approx(means.to_dict(), rel=1e-7)
    assert len([name for name in child.data.metrics if name.startswith("curves/")]) == 5

    table = folder(tracked, child) / "gradient_norms_by_layer.json"
    found = pd.DataFrame(**json.loads(table.read_text(encoding="utf-8")))
    assert found["layer"].tolist() == ["stem", *(f"block {layer}" for layer in range(1, 9)), "head"]
    for layer in (0, 1, 9):
        shown = found.loc[layer, ["epoch 1", "epoch 2"]].astype(float).tolist()
        assert shown == pytest.approx(by_epoch(norms, layer).tolist(), rel=5e-3)


def by_epoch(norms, layer):
    return norms[norms["layer"] == layer].groupby("epoch")["grad_norm"].median()


def folder(project, run):
    """Where the files of a run lie."""
    return project.root / "mlartifacts" / run.info.run_id / "artifacts"


# How the points are handed to a model of MLflow's Python flavour, and to one of its PyTorch flavour.
LOAD = {
    "mlflow.pyfunc": ("points", "points.astype('float32')", "pd.DataFrame(points, columns=['mass', 'height'])"),
    "mlflow.pytorch": ("torch.from_numpy(points)", "torch.from_numpy(points).float()"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_gives_the_predictions_of_the_checkpoint_in_a_fresh_process_without_pickle(
    tracked, look, tmp_path, variant
):
    standardised, raw = points_of(tracked)
    np.savetxt(tmp_path / "points.csv", raw, fmt="%.17g")
    code = """if True:
        import sys
        from gradflow.tracking import environment
        environment.prepare()
        import mlflow, numpy as np, pandas as pd, torch
        from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION
        assert MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get() is False
        name, source, folder, *ways = sys.argv[1:]
        points = np.loadtxt(source)
        for number, way in enumerate(ways):
            flavour, _, value = way.partition(" ")
            model = eval(flavour).load_model(f"models:/gradflow-{name}@latest")
            logits = (model.predict if flavour == "mlflow.pyfunc" else model)(eval(value))
            logits = logits.detach() if flavour == "mlflow.pytorch" else logits
            np.savetxt(f"{folder}/{number}.csv", logits, fmt="%.9g")
        model = mlflow.pyfunc.load_model(f"models:/gradflow-{name}@latest")
        assert model.metadata.signature.outputs.inputs[0].shape == (-1, 2)
        rows = pd.read_parquet("data/raw/moons.parquet")[["x1", "x2"]].to_numpy()
        assert np.isclose(model.input_example[:, None], rows).all(axis=2).any(axis=1).tolist() == [True] * 5
    """
    ways = [f"{flavour} {way}" for flavour, values in LOAD.items() for way in values]
    tracked.run(
        "python", "-c", code, variant, tmp_path / "points.csv", tmp_path, *ways,
        MLFLOW_TRACKING_URI=f"sqlite:///{tracked.root}/mlflow.db",
    )  # fmt: skip

    view = look(tracked.root)
    version = view.client.get_model_version_by_alias(f"gradflow-{variant}", "latest")
    child = view.client.get_run(version.run_id)
    parent = view.client.get_run(child.data.tags["mlflow.parentRunId"])
    history = pd.read_csv(folder(tracked, parent) / "history.csv").query("variant == @variant and epoch == epoch.max()")
    best = history.sort_values("val_loss")["seed"].iloc[0]
    assert version.tags["seed"] == str(best) and child.data.tags["model"] == f"seed {best}"
    network = checkpoints.load(folder(tracked, child) / "checkpoints" / f"{variant}.safetensors", best)
    with torch.no_grad():
        expected = network(torch.from_numpy(standardised).float()).numpy()
    for number, way in enumerate(ways):
        np.testing.assert_allclose(np.loadtxt(tmp_path / f"{number}.csv"), expected, rtol=0, atol=1e-6, err_msg=way)


def points_of(project):
    """The validation points as the networks see them, and as the source has them."""
    standardised = dataset.read(project.root / "data" / "scaled" / "val.parquet")[0]
    scaler = json.loads((project.root / "data" / "scaled" / "scaler.json").read_text(encoding="utf-8"))
    return standardised, standardised * scaler["scale"] + scaler["mean"]


def test_the_examples_of_the_documentation_run(tracked):
    examples = re.findall(
        r"```python\n(.*?)```", (tracked.root / "docs" / "tracking.md").read_text(encoding="utf-8"), re.S
    )

    predicting, asking = (
        tracked.run("python", "-c", example, MLFLOW_DISABLE_TELEMETRY="true").stdout for example in examples
    )
    rows = len(pd.read_parquet(tracked.root / "data" / "raw" / "moons.parquet"))
    assert f"[{rows} rows x 2 columns]" in predicting
    assert "depth-4" in asking and "depth-8" in asking


def test_a_lost_database_is_refilled_with_the_same_runs_once_each(tracked, own, look):
    names = ("depth-4", "depth-8", "workspace")
    assert set(own.run(*ALL).stdout.splitlines()) == {f"{name}: tracked" for name in names}
    restored, lost = look(own.root), look(tracked.root)
    assert own.run(*TRACK).stdout.startswith("already tracked: ")
    assert own.run(*ALL).stdout.count(": already tracked\n") == 3

    assert len(look(own.root).everything) == len(restored.everything)
    assert len(look(own.root).client.search_model_versions()) == 3 * len(VARIANTS)
    assert len(restored.everything) == 9  # the two experiments and the workspace
    for name, run in (lost.parents | lost.children).items():
        again = (restored.parents | restored.children)[name]
        assert without_identity(again.data.tags) == without_identity(run.data.tags)
        assert again.data.params == run.data.params
        assert again.data.metrics == run.data.metrics


def without_identity(tags):
    return {key: value for key, value in tags.items() if key not in ("mlflow.parentRunId", "checkout")}


def test_results_that_come_without_a_database_are_tracked_by_the_next_run(own, look):
    (own.root / "data" / "tracked").unlink()  # as in a fresh clone
    assert own.run("git", "status", "--porcelain").stdout == ""

    assert own.repro() == {"track"}

    assert len(look(own.root).parents) == 1
    assert own.repro() == set()


def test_a_queued_experiment_tracks_into_the_main_checkout_too(own, look):
    own.run("dvc", "exp", "run", "--queue", "--name", "queued", "--set-param", "analysis.vanished_below=0.5")
    own.run("dvc", "exp", "run", "--run-all", "--jobs", "1")

    view = look(own.root)
    assert set(view.parents) == {"queued"} and len(view.children) == 2
    assert view.parents["queued"].info.artifact_uri.startswith((own.root / "mlartifacts").as_uri())


def test_all_leaves_out_a_workspace_whose_results_are_not_those_of_its_parameters(tracked, own, look):
    own.change({"train.lr": 0.05})

    done = own.run(*ALL, MLFLOW_TRACKING_URI=f"sqlite:///{tracked.root}/mlflow.db")

    assert "workspace: holds no finished result" in done.stdout
    assert set(look(tracked.root).parents) == {"depth-4", "depth-8"}


def test_all_names_experiments_whose_files_are_gone(own):
    own.change({"train.lr": 0.05})
    shutil.rmtree(own.root / ".dvc" / "cache")

    lines = own.run(*ALL, code=1).stderr.splitlines()

    assert len(lines) == 1 and lines[0].startswith("gradflow: 2 not tracked: ")
    for name in ("depth-4", "depth-8"):
        assert f"{name}: is not whole in DVC's cache" in lines[0]


def test_a_killed_tracking_is_replaced_by_one_complete_run(own, look, wait_until_logging):
    kill_while_logging(own, wait_until_logging)

    own.run(*TRACK)

    view = look(own.root)
    assert {run.info.status for run in view.everything} == {"FINISHED", "KILLED"}
    assert len(view.parents) == 1 and len(view.children) == 2
    assert {run.info.status for run in (view.parents | view.children).values()} == {"FINISHED"}
    assert view.models == sorted(VARIANTS)


def test_a_killed_tracking_leaves_nothing_running_when_another_result_comes(own, look, wait_until_logging):
    kill_while_logging(own, wait_until_logging)
    rewrite_losses(own, 0.5)

    own.run(*TRACK)

    view = look(own.root)
    assert {run.info.status for run in view.everything} == {"FINISHED", "KILLED"}
    assert len(view.parents) == 1


def kill_while_logging(project, wait_until_logging):
    with subprocess.Popen(TRACK, cwd=project.root, env=project.env, stdout=subprocess.DEVNULL) as process:
        wait_until_logging(process, project.root)
        process.send_signal(signal.SIGKILL)


def rewrite_losses(project, factor):
    """Make another result by hand: all validation losses times a factor."""
    path = project.root / "reports" / "history.csv"
    table = pd.read_csv(path)
    table["val_loss"] *= factor
    path.unlink()  # it may be a link into the cache
    table.to_csv(path, index=False)
    (project.root / "dvc.lock").unlink(missing_ok=True)  # it names the result that DVC made


def test_the_champion_moves_only_when_the_validation_loss_improves(own, look):
    own.run(*TRACK)
    rewrite_losses(own, 2)
    own.run(*TRACK)
    client = look(own.root).client
    for variant in VARIANTS:
        assert client.get_model_version_by_alias(f"gradflow-{variant}", "latest").version == 2
        assert client.get_model_version_by_alias(f"gradflow-{variant}", "champion").version == 1

    rewrite_losses(own, 0.25)
    own.run(*TRACK)
    client = look(own.root).client
    for variant in VARIANTS:
        assert client.get_model_version_by_alias(f"gradflow-{variant}", "latest").version == 3
        assert client.get_model_version_by_alias(f"gradflow-{variant}", "champion").version == 3


def test_a_champion_is_the_best_on_the_data_of_the_result_that_was_tracked_last(own):
    """Losses on other rows are other numbers, and the model of other rows is of no use to whom these are given."""
    rewrite_losses(own, 0.01)  # that no other result will reach
    own.run(*TRACK)
    table = pd.read_parquet(own.root / "data" / "raw" / "moons.parquet")
    table["x1"] = 1e6 + 50 * table["x1"]  # in float32 these differ in steps of 1/16
    table.to_csv(own.root / "data" / "own" / "mine.csv", index=False)
    own.change({"data.source": "file", "data.path": "data/own/mine.csv"})
    own.run("dvc", "repro")
    client = mlflow.MlflowClient(f"sqlite:///{own.root}/mlflow.db")

    def champions(name):
        """Version to its data, for each of the aliases of a model."""
        aliases = client.get_registered_model(name).aliases
        return {alias: (int(n), client.get_model_version(name, n).tags["data"]) for alias, n in aliases.items()}

    for variant in VARIANTS:
        found = champions(f"gradflow-{variant}")
        moons, mine = client.get_model_version(f"gradflow-{variant}", 1), found["champion"][1]
        assert mine != moons.tags["data"]
        assert found == {
            "champion": (2, mine),
            f"champion-{mine[:8]}": (2, mine),
            f"champion-{moons.tags['data'][:8]}": (1, moons.tags["data"]),
        }
    standardised, raw = points_of(own)
    np.save(own.root / "data" / "points.npy", raw)
    code = """if True:
        import mlflow, numpy as np
        model = mlflow.pyfunc.load_model("models:/gradflow-residual@champion")
        np.save("data/logits.npy", model.predict(np.load("data/points.npy")))
    """
    own.run("python", "-c", code, MLFLOW_TRACKING_URI=f"sqlite:///{own.root}/mlflow.db")
    best = int(client.get_model_version("gradflow-residual", 2).tags["seed"])
    with torch.no_grad():
        expected = checkpoints.load(own.root / "models" / "residual.safetensors", best)(
            torch.tensor(standardised).float()
        )
    np.testing.assert_allclose(np.load(own.root / "data" / "logits.npy"), expected.numpy(), rtol=0, atol=1e-6)

    own.run("git", "checkout", "--quiet", ".")
    (own.root / "data" / "own" / "mine.csv").unlink()
    own.run("dvc", "checkout")
    for said, newest in (("tracked", 3), ("already tracked", 3)):
        assert own.run(*TRACK).stdout.startswith(f"{said}: ")
        for variant in VARIANTS:
            assert champions(f"gradflow-{variant}")["champion"] == (1, moons.tags["data"])
            assert client.get_model_version_by_alias(f"gradflow-{variant}", "latest").version == newest
            client.set_registered_model_alias(f"gradflow-{variant}", "champion", 2)  # as another checkout would


def test_a_variant_whose_seeds_all_diverged_has_no_model_and_no_infinite_value(own, look):
    own.change(
        {"train.lr": 10000.0, "train.clip_norm": None, "variants": {"residual": {"block": "residual", "scale": 3.0}}}
    )
    own.run("dvc", "repro")

    view = look(own.root)
    (run,), (parent,) = view.children.values(), view.parents.values()
    assert run.data.tags["model"] == "none, all seeds diverged"
    assert run.data.tags["diverged_seeds"] == parent.data.tags["diverged_seeds"] == "0, 1"
    assert parent.data.metrics["diverged_seeds/residual"] == 2
    assert view.client.search_model_versions() == []
    with closing(sqlite3.connect(own.root / "mlflow.db")) as connection:
        values = connection.execute("select value, is_nan from metrics").fetchall()
    assert values and all(math.isfinite(value) and abs(value) < 1e300 and not is_nan for value, is_nan in values)


def test_a_value_that_is_not_finite_never_becomes_a_metric(project):
    path = project.root / "reports" / "gradient_norms.csv"
    table = pd.read_csv(path)
    table.loc[table["layer"] == 1, "grad_norm"] = math.inf
    table.loc[table["layer"] == 2, "grad_norm"] = math.nan
    path.unlink()
    table.to_csv(path, index=False)
    (project.root / "dvc.lock").unlink()

    with pytest.raises(RunError, match=r"gradient_norms\.csv: column grad_norm must hold finite numbers"):
        result.read(artefacts(project))


def test_the_fingerprint_is_of_the_results_alone(project):
    before = result.read(artefacts(project)).fingerprint
    with (project.root / "params.yaml").open("a", encoding="utf-8") as file:
        file.write("# a remark\n")
    (project.root / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    assert result.read(artefacts(project)).fingerprint == before

    metrics = project.root / "reports" / "metrics.json"
    numbers = json.loads(metrics.read_text(encoding="utf-8"))
    numbers["plain"]["vanished_layers"] = 3.5
    metrics.write_text(json.dumps(numbers), encoding="utf-8")
    assert result.read(artefacts(project)).fingerprint != before


def test_damaged_results_are_told_in_one_line_and_not_tracked(project):
    (project.root / "reports" / "metrics.json").write_text("{", encoding="utf-8")

    lines = project.run(*TRACK, code=1).stderr.splitlines()

    assert len(lines) == 1 and lines[0].startswith("gradflow: ") and "dvc repro" in lines[0]


def test_a_copied_checkout_says_that_its_database_belongs_to_another(tracked, tmp_path):
    copy = tracked.copy(tmp_path / "copy")

    lines = copy.run(*TRACK, code=1).stderr.splitlines()

    assert len(lines) == 1 and "python -m pipelines.track_all" in lines[0]


NO_ADDRESS = "environment: MLFLOW_TRACKING_URI: must be the address of a server or database"
NO_FILE = "environment: MLFLOW_TRACKING_URI: must name a file, as sqlite:////folder/mlflow.db does, got "
REFUSED = {
    "MLFLOW_TRACKING_URI": {
        **dict.fromkeys(["not an address", "http://", "http://[::1", "databricks://mine", "s3://bucket"], NO_ADDRESS),
        **{uri: f"{NO_FILE}{uri}" for uri in ("sqlite:///data", "sqlite:///:memory:", "sqlite:///file:a.db?uri=true")},
        "sqlite:///mlflow.db?timeout=long": (
            "environment: MLFLOW_TRACKING_URI: has a setting that its driver refuses: "
            "could not convert string to float: 'long'"
        ),
    },
    "MLFLOW_REGISTRY_URI": {
        uri: (
            "environment: MLFLOW_REGISTRY_URI: must be unset or the same as MLFLOW_TRACKING_URI, "
            f"models are registered where their runs are; got {shown}"
        )
        for uri, shown in {
            "databricks-uc": "databricks-uc",
            "http://anna:secret@models.example.org": "http://models.example.org",
        }.items()
    },
    "MLFLOW_HTTP_REQUEST_TIMEOUT": {
        "soon": "environment: MLFLOW_HTTP_REQUEST_TIMEOUT: must be of type int, got 'soon'"
    },
}


@pytest.mark.parametrize(
    ("name", "value", "line"), [(name, value, line) for name, each in REFUSED.items() for value, line in each.items()]
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(own, name, value, line):
    done = own.run(*TRACK, code=2, **{name: value})

    assert done.stderr.splitlines() == [f"gradflow: {line}"]
    assert not list(own.root.glob("mlflow.db")) and not list(own.root.glob(":memory:"))


def test_a_database_that_is_none_is_one_line_without_another_try(own):
    (own.root / "mlflow.db").write_text("no database\n" * 1000, encoding="utf-8")

    done = own.run(*TRACK, code=1)

    where = f"sqlite:///{own.root}/mlflow.db"
    kept = "all results are kept, `dvc repro` tracks them"
    assert done.stderr.splitlines() == [f"gradflow: {where}: (sqlite3.DatabaseError) file is not a database; {kept}"]


@pytest.mark.parametrize("name", ["50% of 100%25/mlflow.db", "a#b/ö.db", "mlflow.db"])
def test_a_database_may_lie_anywhere_and_have_settings(own, look, tmp_path, name):
    uri = f"sqlite:///{tmp_path / name}?timeout=30"
    done = own.run(*TRACK, MLFLOW_TRACKING_URI=uri, MLFLOW_REGISTRY_URI=uri)

    assert done.stdout.startswith("tracked: run ")
    assert (tmp_path / name).stat().st_size
    (tmp_path / name).rename(tmp_path / "mlflow.db")
    view = look(tmp_path)
    assert view.models == sorted(VARIANTS) and len(view.client.search_model_versions()) == len(VARIANTS)
    assert own.run("git", "status", "--porcelain").stdout == ""


def test_a_folder_from_which_mlflow_opens_no_database_is_told_in_one_line(project, tmp_path):
    (tmp_path / "100%").symlink_to(Path(mlflow.__file__).parents[1])  # as .venv in a checkout of such a name

    done = project.run(*TRACK, code=1, PYTHONPATH=str(tmp_path / "100%"))

    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "gradflow: MLflow opens no database while it is installed below a folder with % in its name ("
    )


@pytest.mark.parametrize("name", ["50% off", "why?"])
def test_a_checkout_may_lie_anywhere_or_is_told_in_one_line(own, look, tmp_path, name):
    moved = type(own)(own.root.rename(tmp_path / name), own.env)
    done = moved.run(*TRACK, code=None)

    if "?" in name:
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert "must name a file without ?" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert len(look(moved.root).parents) == 1


def test_trainings_of_the_explorer_are_logged_in_an_experiment_of_their_own_and_not_registered(finished, tmp_path):
    project = type(finished)(tmp_path / "a project", finished.env | {"MLFLOW_TRACKING_URI": ""})
    finished.copy(project.root)
    command = ["python", "-m", "studies.explorer.track", *TRACK[3:]]

    assert project.run(*command).stdout.startswith("tracked: ")
    assert project.run(*command).stdout.startswith("already tracked: ")

    client = mlflow.MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("gradflow-explorer").experiment_id])
    assert sorted(run.data.tags.get("variant", "") for run in runs) == ["", *VARIANTS]
    assert {run.data.tags["mlflow.source.name"] for run in runs} == {"studies/explorer"}
    assert all(client.download_artifacts(run.info.run_id, "checkpoints") for run in runs if "variant" in run.data.tags)
    assert client.search_registered_models() == []


def test_a_data_set_that_another_process_adds_at_the_same_moment_is_logged_all_the_same(tmp_path, monkeypatch):
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run = client.create_run(client.create_experiment("own")).info.run_id
    log, said = client.log_inputs, []

    def busy(*given):
        said.append(given)
        if len(said) == 1:
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id", error_code=BAD_REQUEST)
        log(*given)

    monkeypatch.setattr(client, "log_inputs", busy)
    runs._log_data(client, run, [DataSet("train", "moons", Path("data/train.parquet"), 3, "0" * 32, {})])
    assert [used.dataset.digest for used in client.get_run(run).inputs.dataset_inputs] == ["0" * 32]
    assert len(said) == 2

    def broken(*given):
        raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)

    monkeypatch.setattr(client, "log_inputs", broken)
    with pytest.raises(MlflowException, match="no such run"):
        runs._log_data(client, run, [])
