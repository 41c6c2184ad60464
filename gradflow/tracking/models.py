"""Logged and registered models: the best seed of each variant, in a form that loads without pickle."""

import os
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import mlflow.pytorch
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from gradflow.data.dataset import Points
from gradflow.tracking.result import Variant

if TYPE_CHECKING:
    from gradflow.kit.network import Network

# Without names: MLflow turns a named input into a dict, which its PyTorch models then refuse.
_ROWS = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
SIGNATURE = ModelSignature(inputs=_ROWS, outputs=_ROWS)  # points to logits


def log(client: MlflowClient, experiment: str, run: str, variant: Variant, network: "Network", example: Points) -> str:
    """Log the best seed of a variant as a model of a run.

    The steps of ``mlflow.pytorch.log_model`` one by one: that function reads all metrics of the run
    again, starts a process to guess the requirements, and loads the model to try it.

    Args:
        client: To the tracking store.
        experiment: Identifier of the experiment.
        run: Identifier of the run that the model belongs to.
        variant: With a best seed.
        network: That of this seed.
        example: Rows (rows, 2) to trace the network with and to show what it takes.

    Returns:
        The identifier of the model.
    """
    assert variant.best
    logged = client.create_logged_model(
        experiment, name=variant.name, source_run_id=run, tags={"seed": str(variant.best.seed)}
    )
    with TemporaryDirectory() as folder:
        mlflow.pytorch.save_model(
            network,
            Path(folder, "model"),
            mlflow_model=Model(
                artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run, model_id=logged.model_id
            ),
            signature=SIGNATURE,
            input_example=example.astype(np.float32),
            serialization_format="pt2",
            pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in ("mlflow", "numpy", "torch")],
        )
        client.log_model_artifacts(logged.model_id, os.path.join(folder, "model"))  # noqa: PTH118  # joined as text
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def register(client: MlflowClient, variant: Variant, model: str, run: str, fingerprint: str) -> None:
    """Make a logged model a version of ``gradflow-<variant>``, and the champion if its validation loss is lower.

    MLflow itself resolves the alias ``latest`` to the newest version and lets nobody set it. A version
    keeps the loss as a tag, because the run of an earlier champion may be gone.
    """
    assert variant.best
    name = f"gradflow-{variant.name}"
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(
        name,
        source=f"models:/{model}",
        run_id=run,
        model_id=model,
        await_creation_for=30,
        tags={"val_loss": repr(variant.best.val_loss), "seed": str(variant.best.seed), "fingerprint": fingerprint},
    )
    aliases = client.get_registered_model(name).aliases
    if "champion" in aliases:
        rivals = [client.get_model_version(name, aliases["champion"])]
    else:  # the first version, or the champion was deleted
        rivals = client.search_model_versions(f"name = '{name}'", order_by=["version_number ASC"])
    best = min((*rivals, made), key=lambda version: float(version.tags.get("val_loss", "inf")))
    if aliases.get("champion") != best.version:
        client.set_registered_model_alias(name, "champion", best.version)
