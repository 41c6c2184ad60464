"""Logged models: the best seed of each variant, in a form that loads without pickle."""

import os
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import mlflow.pytorch
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import Schema, TensorSpec

from gradflow.tracking.entry import Variant

if TYPE_CHECKING:
    from gradflow.kit.network import Network


def log(client: MlflowClient, experiment: str, run: str, variant: Variant, network: "Network") -> str:
    """Log the best seed of a variant as a model of a run.

    The steps of ``mlflow.pytorch.log_model`` one by one: that function reads all metrics of the run
    again, starts a process to guess the requirements, and loads the model to try it. Of a model that takes float64, and
    so any type of number, the signature says only what comes out: with one of the input MLflow would refuse all others.

    Args:
        client: To the tracking store.
        experiment: Identifier of the experiment.
        run: Identifier of the run that the model belongs to.
        variant: With a best seed.
        network: That of this seed.

    Returns:
        The identifier of the model.
    """
    assert variant.best
    module, example = variant.model(network)
    example = np.array(example, order="C")  # a copy that can be written to; other strides would be asked of all inputs
    module.eval()
    with torch.no_grad():
        made = module(torch.from_numpy(example)).numpy()
    inputs, outputs = (Schema([TensorSpec(each.dtype, (-1, *each.shape[1:]))]) for each in (example, made))
    logged = client.create_logged_model(
        experiment, name=variant.name, source_run_id=run, tags={"seed": str(variant.best.seed)}
    )
    described = Model(
        artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run, model_id=logged.model_id
    )
    with TemporaryDirectory() as folder:
        mlflow.pytorch.save_model(
            module,
            Path(folder, "model"),
            mlflow_model=described,
            signature=ModelSignature(inputs, outputs),  # from which it takes that rows may be many or few
            input_example=example,
            serialization_format="pt2",
            pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in ("mlflow", "numpy", "torch")],
        )
        if example.dtype == np.float64:
            described.signature = ModelSignature(outputs=outputs)
            described.save(Path(folder, "model", MLMODEL_FILE_NAME))
        client.log_model_artifacts(logged.model_id, os.path.join(folder, "model"))  # noqa: PTH118  # joined as text
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)
