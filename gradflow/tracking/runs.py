"""Runs: a parent for each result, a nested run for each variant, and one for a sweep. No result is logged twice."""

import hashlib
import json
import platform
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from gradflow.tracking import registry
from gradflow.tracking.entry import DataSet, Entry, Point, Variant
from gradflow.tracking.experiment import DEFAULT
from gradflow.tracking.origin import Origin
from gradflow.tracking.store import Store

if TYPE_CHECKING:
    from gradflow.kit.network import Network

# What MLflow takes at once.
_METRICS = 1000
_PARAMS = 100
_LONGEST_NAME = 500  # characters, of a data set
_LONGEST_TAG = 5000
_ABANDONED_SECONDS = 3600  # longer than logging takes: whoever began that run was killed


class Tracked(NamedTuple):
    """The parent run of a result, and whether it was logged now."""

    experiment: str
    run: str
    now: bool


def track(entry: Entry, origin: Origin, store: Store, experiment: str) -> Tracked:
    """Log a result, unless it is there.

    The parent run is finished last, when everything is logged, so one that is not finished is an incomplete
    result. This checkout's are replaced, and those that have been left elsewhere for an hour. Where two checkouts log
    the same result at once, the run that was finished first stays.

    Args:
        entry: What to log.
        origin: Where it comes from.
        store: Where to log it.
        experiment: Name of the MLflow experiment.

    Raises:
        RunError: The store cannot be used.
    """
    with store.connected() as client:
        where = store.experiment(client, experiment)
        mark = _mark(store)
        same = client.search_runs([where], f"tags.fingerprint = '{entry.fingerprint}'")
        left = client.search_runs([where], f"tags.checkout = '{mark}' and attributes.status != 'FINISHED'")
        oldest = (time.time() - _ABANDONED_SECONDS) * 1000
        abandoned = [run for run in same if run.info.status != "FINISHED" and run.info.start_time < oldest]
        halves = {run.info.run_id: run for run in (*left, *abandoned)}
        for run in sorted(halves.values(), key=lambda run: MLFLOW_PARENT_RUN_ID not in run.data.tags):  # nested first
            with suppress(MlflowException):  # another checkout may be discarding it at this moment
                _discard(client, run)
        if first := _first_finished(client, where, entry):
            registry.appoint(client, entry)
            return Tracked(where, first.info.run_id, now=False)
        own = _log(client, where, entry, origin, mark)
        first = _first_finished(client, where, entry)
        if first and first.info.run_id != own:  # another checkout was faster
            _discard(client, client.get_run(own))
            registry.appoint(client, entry)
            return Tracked(where, first.info.run_id, now=False)
        return Tracked(where, own, now=True)


def _first_finished(client: MlflowClient, experiment: str, entry: Entry) -> Run | None:
    """The run of a result that is whole; of several that which was finished first."""
    mine = f"tags.fingerprint = '{entry.fingerprint}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment], mine)
    return min(found, key=lambda run: (run.info.end_time, run.info.run_id), default=None)


def track_sweep(name: str, grid: str, files: Iterable[Path], origin: Origin, store: Store) -> Tracked:
    """Log the table and the figure of a sweep as a run of its own; it replaces this checkout's of the same sweep.

    Args:
        name: Of the sweep, which no other has.
        grid: Its keys and values.
        files: What to log.
        origin: Where it comes from.
        store: Where to log it.

    Raises:
        RunError: The store cannot be used.
    """
    with store.connected() as client:
        where, mark = store.experiment(client, DEFAULT), _mark(store)
        for before in client.search_runs([where], f"tags.sweep = '{name}' and tags.checkout = '{mark}'"):
            _discard(client, before)
        tags = _system_tags(origin, "pipelines/sweep.py") | origin.tags()
        tags |= {"checkout": mark, "sweep": name, "grid": grid[:_LONGEST_TAG]}
        run = client.create_run(where, tags=tags, run_name=f"sweep {name}").info.run_id
        for file in files:
            client.log_artifact(run, str(file))
        client.set_terminated(run)
        return Tracked(where, run, now=True)


def _log(client: MlflowClient, experiment: str, entry: Entry, origin: Origin, mark: str) -> str:
    from gradflow import checkpoints  # PyTorch, which a result that is there does not need

    networks = {  # before anything is logged, so that one that cannot be loaded leaves no incomplete result
        variant.name: checkpoints.load(variant.checkpoint, variant.best.seed, variant.trained)
        for variant in entry.variants
        if variant.best
    }
    name = origin.experiment or entry.name
    shared = _system_tags(origin, entry.source) | origin.tags() | {"checkout": mark}
    shared |= {"data": entry.data_hash} if entry.data_hash else {}
    tags = shared | _common(entry.variants) | {"fingerprint": entry.fingerprint}
    run: str = client.create_run(experiment, tags=tags, run_name=name).info.run_id
    _log_batches(client, run, params=entry.params, metrics=_summary(entry.variants))
    _log_data(client, run, entry.data)
    for folder, paths in entry.files.items():
        for path in paths:
            client.log_artifact(run, str(path), folder or None)
    logged = [
        _log_variant(
            client,
            experiment,
            entry,
            variant,
            networks.get(variant.name),
            f"{name} {variant.name}",
            shared | {MLFLOW_PARENT_RUN_ID: run},
        )
        for variant in entry.variants
    ]
    for variant, (child, model) in zip(entry.variants, logged, strict=True):
        if model and entry.data_hash:
            registry.register(client, variant, model, child, entry)
    registry.appoint(client, entry)
    client.set_terminated(run)
    return run


def _log_variant(
    client: MlflowClient,
    experiment: str,
    entry: Entry,
    variant: Variant,
    network: "Network | None",
    name: str,
    tags: dict[str, str],
) -> tuple[str, str | None]:
    """Log one variant as a nested run; returns its identifier and that of its model."""
    from gradflow.tracking import models

    best = variant.best
    tags = (
        tags
        | variant.tags
        | {"variant": variant.name, "model": f"seed {best.seed}" if best else "none, all seeds diverged"}
    )
    run = client.create_run(experiment, tags=tags, run_name=name).info.run_id
    model = models.log(client, experiment, run, variant, network) if network else None
    points = [Point(name, value, 0) for name, value in variant.numbers.items()]
    _log_batches(client, run, params=entry.params | {"variant": variant.name}, metrics=[*variant.curves, *points])
    _log_data(client, run, entry.data)
    client.log_artifact(run, str(variant.checkpoint), "checkpoints")
    if variant.layers:
        client.log_table(run, dict(variant.layers), "gradient_norms_by_layer.json")
    client.set_terminated(run)
    return run, model


def _log_data(client: MlflowClient, run: str, data: Iterable[DataSet]) -> None:
    """Log which data sets a run has used.

    MLflow adds a data set to the experiment after it has seen that it is not there. Where another process adds the same
    one in between, MLflow refuses it; then it is there, and is found the next time.
    """
    inputs = [_input(split) for split in data]
    try:
        client.log_inputs(run, inputs)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        client.log_inputs(run, inputs)


def _common(variants: list[Variant]) -> dict[str, str]:
    """Tags of the result: once what all variants agree on, else ``plain: 1; residual: none``."""
    tags = {}
    for name in variants[0].tags:
        values = {variant.name: variant.tags.get(name, "") for variant in variants}
        agreed = len(set(values.values())) == 1
        tags[name] = next(iter(values.values())) if agreed else "; ".join(f"{k}: {v}" for k, v in values.items())
    return tags


def _summary(variants: Iterable[Variant]) -> list[Point]:
    """The final numbers, those of all variants side by side: ``val_loss/plain``, ``val_loss/residual``."""
    return [
        Point(f"{name}/{variant.name}", value, 0) for variant in variants for name, value in variant.numbers.items()
    ]


def _log_batches(client: MlflowClient, run: str, params: Mapping[str, str], metrics: list[Point]) -> None:
    now = int(time.time() * 1000)
    texts = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(texts), _PARAMS):
        client.log_batch(run, params=texts[start : start + _PARAMS])
    for start in range(0, len(metrics), _METRICS):
        batch = metrics[start : start + _METRICS]
        client.log_batch(run, metrics=[Metric(point.name, point.value, now, point.epoch) for point in batch])


def _input(split: DataSet) -> DatasetInput:
    columns = {"x1": "double", "x2": "double", "label": "long"}
    schema = {"mlflow_colspec": [{"name": name, "type": kind, "required": True} for name, kind in columns.items()]}
    entity = Dataset(
        name=split.name[-_LONGEST_NAME:],
        digest=split.digest,
        source_type="local",
        source=json.dumps({"uri": split.path.as_posix()} | split.source),
        schema=json.dumps(schema),
        profile=json.dumps({"num_rows": split.rows}),
    )
    return DatasetInput(entity, [InputTag(MLFLOW_DATASET_CONTEXT, split.split)])


def _system_tags(origin: Origin, source: str) -> dict[str, str]:
    """What MLflow's own views show of a run."""
    tags = {MLFLOW_SOURCE_NAME: source, MLFLOW_SOURCE_TYPE: "LOCAL", MLFLOW_USER: _user()}
    return tags | ({MLFLOW_GIT_COMMIT: origin.commit} if origin.commit else {})


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "unknown"


def _mark(store: Store) -> str:
    """A name for this checkout on this machine that says nothing about either."""
    return hashlib.sha256(f"{platform.node()}:{store.root}".encode()).hexdigest()[:16]


def _discard(client: MlflowClient, run: Run) -> None:
    """End and delete a run with all that belongs to it, itself last, so that this can be interrupted too."""
    identifier = run.info.run_id
    for child in client.search_runs([run.info.experiment_id], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{identifier}'"):
        _discard(client, child)
    for version in client.search_model_versions(f"run_id = '{identifier}'"):
        client.delete_model_version(version.name, version.version)
    for model in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{identifier}'"):
        client.delete_logged_model(model.model_id)
    client.set_terminated(identifier, "KILLED")
    client.delete_run(identifier)
