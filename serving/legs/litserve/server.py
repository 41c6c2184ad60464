"""The process that LitServe runs in: one worker that computes, one process that speaks HTTP."""

import os
from pathlib import Path
from typing import Any

os.environ["LIT_SERVE_DISABLE_TELEMETRY"] = "1"

import click
import litserve
import numpy as np

from gradflow.guards import environment
from serving import bundle
from serving.bundle import Network

_ROWS_AT_ONCE = 32  # requests whose points are computed together while others wait


class Points(litserve.LitAPI):
    """Takes points, returns probabilities.

    Args:
        folder: The bundle.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(max_batch_size=1)
        self._folder = folder

    def setup(self, device: str) -> None:
        """Load the network in the worker."""
        import torch

        torch.set_num_threads(environment.threads() or 1)
        self._network: Network = bundle.load(self._folder)

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return np.array(request["points"], dtype=np.float64)

    def predict(self, points: np.ndarray) -> np.ndarray:
        return self._network.probabilities(points)

    def encode_response(self, probabilities: np.ndarray) -> dict[str, Any]:
        return {"probabilities": probabilities.tolist()}


@click.command()
@click.argument("folder", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.argument("port", type=int)
def main(folder: Path, port: int) -> None:
    """Serve BUNDLE on PORT of this machine."""
    server = litserve.LitServer(
        Points(folder), accelerator="cpu", devices=1, restart_workers=True, disable_openapi_url=True
    )
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False, num_api_servers=1)


if __name__ == "__main__":
    main()
