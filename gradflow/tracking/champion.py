"""A registered model as what it was trained to: its checkpoint, with what its run says of it."""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gradflow.guards.errors import InputError
from gradflow.tracking.entry import Seed
from gradflow.tracking.store import Store

_NAME = re.compile(r"models:/(?P<name>gradflow-[^/@]+)(?:@(?P<alias>.+)|/(?P<version>\d+))")


class Champion(NamedTuple):
    """A version of a registered model.

    Attributes:
        variant: Of the network.
        seed: Of the network, with its last losses.
        fingerprint: Of the result that it belongs to.
        data: SHA-256 of data and scaler.
        numbers: The last metrics of the variant, one number each.
        checkpoint: The weights of all seeds.
        figure: The gradients by layer of the run.
    """

    variant: str
    seed: Seed
    fingerprint: str
    data: str
    numbers: dict[str, float]
    checkpoint: Path
    figure: Path


def resolved(uri: str, where: str, store: Store) -> str:
    """The address of the version that a registered model's address stands for now; for errors see :func:`fetch`."""
    with store.connected() as client:
        version = _version(client, uri, where)
    return f"models:/{version.name}/{version.version}"


def fetch(uri: str, where: str, store: Store, folder: Path) -> Champion:
    """Bring a registered model here.

    Args:
        uri: ``models:/gradflow-VARIANT@ALIAS`` or ``models:/gradflow-VARIANT/VERSION``.
        where: The parameter that names it, for an error.
        store: Where it is registered.
        folder: For its files.

    Raises:
        InputError: There is no such model, or it is not one that the pipeline has registered.
        StoreError: The store cannot be used.
    """
    with store.connected() as client:
        version = _version(client, uri, where)
        assert version.run_id
        run = client.get_run(version.run_id)
        variant, parent = run.data.tags["variant"], run.data.tags[MLFLOW_PARENT_RUN_ID]
        bring = {
            version.run_id: [f"checkpoints/{variant}.safetensors"],
            parent: ["figures/gradient_flow.png", "history.csv"],
        }
        checkpoint, figure, table = (
            Path(client.download_artifacts(of, path, str(folder))) for of, paths in bring.items() for path in paths
        )
        history = pd.read_csv(table)
    seed = int(version.tags["seed"])
    rows = history[(history["variant"] == variant) & (history["seed"] == seed)]
    last = rows.sort_values("epoch").iloc[-1]
    return Champion(
        variant=variant,
        seed=Seed(seed, float(last["val_loss"]), float(last["val_accuracy"])),
        fingerprint=version.tags["fingerprint"],
        data=version.tags["data"],
        numbers={name: value for name, value in sorted(run.data.metrics.items()) if "/" not in name},
        checkpoint=checkpoint,
        figure=figure,
    )


def _version(client: MlflowClient, uri: str, where: str) -> ModelVersion:
    named = _NAME.fullmatch(uri)
    if named is None:
        rule = "must be models:/gradflow-VARIANT@ALIAS or models:/gradflow-VARIANT/VERSION"
        raise InputError(where, f"{rule}, got {uri[:200]}")
    try:
        if named["alias"]:
            version = client.get_model_version_by_alias(named["name"], named["alias"])
        else:
            version = client.get_model_version(named["name"], named["version"])
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise InputError(where, f"must name a registered model, there is no {uri[:200]}") from None
    if not ({"data", "fingerprint", "seed"} <= version.tags.keys() and version.run_id):
        raise InputError(where, f"must name a model that `dvc repro` has registered, got {uri[:200]}")
    return version
