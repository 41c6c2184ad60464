"""Where this checkout is, also when a stage runs in the copy that DVC makes for an experiment."""

import os
from pathlib import Path


def root() -> Path:
    """The folder with ``.dvc``: of the main checkout when DVC runs this, else the nearest one upwards."""
    if named := os.environ.get("DVC_ROOT"):
        return Path(named).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)
