"""Logged models: the best seed of each variant behind its scaler, in a form that loads without pickle."""

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
from torch import Tensor, nn

from gradflow.tracking.result import Result, Scaler, Variant

if TYPE_CHECKING:
    from gradflow.kit.network import Network

_POINTS = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])
_LOGITS = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])


class OnPoints(nn.Module):
    """``network((points - mean) / scale)``: what a network makes of points as the source has them.

    Args:
        network: Takes standardised points.
        scaler: With which they were standardised.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: "Network", scaler: Scaler) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(scaler.mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scaler.scale, dtype=torch.float64))

    def forward(self, points: Tensor) -> Tensor:
        """Logits (rows, 2) in float32 of points (rows, 2) of any type of number.

        The difference is in float64 whatever comes in, since the mean is; a conversion of the points themselves would
        be exported with a check that they have the type of the example.
        """
        logits: Tensor = self.network(((points - self.mean) / self.scale).float())
        return logits


def log(client: MlflowClient, experiment: str, run: str, variant: Variant, network: "Network", result: Result) -> str:
    """Log the best seed of a variant as a model of a run.

    The steps of ``mlflow.pytorch.log_model`` one by one: that function reads all metrics of the run
    again, starts a process to guess the requirements, and loads the model to try it. The signature says only what
    comes out: with one of the input MLflow would refuse all types of numbers but a single one.

    Args:
        client: To the tracking store.
        experiment: Identifier of the experiment.
        run: Identifier of the run that the model belongs to.
        variant: With a best seed.
        network: That of this seed.
        result: Whose variant it is.

    Returns:
        The identifier of the model.
    """
    assert variant.best
    logged = client.create_logged_model(
        experiment, name=variant.name, source_run_id=run, tags={"seed": str(variant.best.seed)}
    )
    described = Model(
        artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run, model_id=logged.model_id
    )
    with TemporaryDirectory() as folder:
        mlflow.pytorch.save_model(
            OnPoints(network, result.scaler).eval(),
            Path(folder, "model"),
            mlflow_model=described,
            signature=ModelSignature(
                inputs=_POINTS, outputs=_LOGITS
            ),  # from which it takes that rows may be many or few
            input_example=result.example(),
            serialization_format="pt2",
            pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in ("mlflow", "numpy", "torch")],
        )
        described.signature = ModelSignature(outputs=_LOGITS)
        described.save(Path(folder, "model", MLMODEL_FILE_NAME))
        client.log_model_artifacts(logged.model_id, os.path.join(folder, "model"))  # noqa: PTH118  # joined as text
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)
