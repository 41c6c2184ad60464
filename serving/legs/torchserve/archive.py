"""The model archive: a zip with the weights, the code that rebuilds the network from them, and the handler.

TorchServe's own archiver writes the time of day into it. This one makes the same bytes from the same bundle.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile, ZipInfo

from gradflow.files import documents
from serving import bundle as bundles
from serving.bundle import Scaler
from serving.forms import FILES, Network

NAME = "gradflow"
FILE = f"{NAME}.mar"
_ROOT = Path(__file__).parents[3]
# All that `gradflow.kit.building.build` imports, whatever it builds: blocks know nothing but the kit and theory.
CODE = (
    "__init__.py", "blocks/*.py", "guards/__init__.py", "guards/errors.py", "kit/__init__.py", "kit/block.py",
    "kit/building.py", "kit/layers.py", "kit/mixing.py", "kit/network.py", "kit/widths.py", "networks/__init__.py",
    "networks/mlp.py", "params/__init__.py", "params/catalogue.py", "theory.py",
)  # fmt: skip
_MANIFEST = {
    "createdOn": "01/01/1980 00:00:00",
    "runtime": "python",
    "model": {"modelName": NAME, "modelVersion": "1.0", "handler": "handler.py"},
    "archiverVersion": "0.12.0",
}
_WEIGHTS = "network.safetensors"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


def write(bundle: Path, folder: Path) -> None:
    """Write ``gradflow.mar``, with the weights of the form that the bundle serves.

    Args:
        bundle: With its description, its scaler and its weights.
        folder: Where to.
    """
    files = {
        "MAR-INF/MANIFEST.json": json.dumps(_MANIFEST, indent=2).encode(),
        "handler.py": Path(__file__).with_name("handler.py").read_bytes(),
        _WEIGHTS: (bundle / FILES[bundles.described(bundle).form]).read_bytes(),
        **{name: (bundle / name).read_bytes() for name in (bundles.DESCRIPTION, bundles.SCALER)},
        **{
            path.relative_to(_ROOT).as_posix(): path.read_bytes()
            for name in CODE
            for path in (_ROOT / "gradflow").glob(name)
        },
    }
    with ZipFile(folder / FILE, "w") as archive:
        for name, content in sorted(files.items()):
            entry = ZipInfo(name, _LONG_AGO)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)  # not compressed: that would depend on the release of zlib


def network(folder: Path) -> Network:
    """The network that ``gradflow.mar`` holds, behind the scaler and in the form that it names."""
    with TemporaryDirectory() as place, ZipFile(folder / FILE) as archive:
        archive.extractall(place)
        held = Path(place)
        scaler = Scaler(**documents.read(held / bundles.SCALER, Scaler))
        return Network(held / _WEIGHTS, scaler, bundles.described(held).form)
