"""What legs take along in a bundle, each in the folder of its name.

These modules are imported here and not found by name, as legs are elsewhere: the stages that pack them depend on all
code that they import.
"""

from pathlib import Path
from typing import Protocol

from serving.forms import Network
from serving.legs.torchserve import archive
from serving.legs.vllm import folder as model_folder


class Packer(Protocol):
    """A module that writes files for a leg and reads them again."""

    def write(self, bundle: Path, folder: Path) -> None:
        """Write them into a folder, from a bundle with its description, its scaler and its weights."""

    def network(self, folder: Path) -> Network:
        """The network that they hold, behind the scaler and in the form that they name."""


PACKERS: dict[str, Packer] = {"torchserve": archive, "vllm": model_folder}
