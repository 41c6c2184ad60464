"""The process that LitServe runs in: one worker that computes, one process that speaks HTTP."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import litserve

from gradflow.data.dataset import Points
from gradflow.guards import environment

if TYPE_CHECKING:
    from serving.forms import Network


class Service(litserve.LitAPI):  # type: ignore[misc]  # LitServe tells no types
    """Takes points, returns probabilities.

    Args:
        folder: The bundle.
    """

    _network: "Network"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def setup(self, device: str) -> None:
        """Load the network, in the worker."""
        import torch  # which the process that speaks HTTP does not need

        from serving import forms

        del device  # the network is too small for another one
        torch.set_num_threads(environment.threads() or 1)
        self._network = forms.load(self._folder)

    def predict(self, request: dict[str, Any]) -> Points:
        """Probabilities (rows, 2) of the points of a request."""
        return self._network.probabilities(request["points"])

    def encode_response(self, probabilities: Points) -> dict[str, Any]:
        """As JSON can say it."""
        return {"probabilities": probabilities.tolist()}


@click.command()
@click.argument("folder", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.argument("port", type=int)
def main(folder: Path, port: int) -> None:
    """Serve BUNDLE on PORT of this machine."""
    server = litserve.LitServer(
        Service(folder),
        accelerator="cpu",
        devices=1,
        restart_workers=True,
        disable_openapi_url=True,
    )
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False, num_api_servers=1)


if __name__ == "__main__":
    main()
