"""Where this checkout is, also when a stage runs in the copy that DVC makes for an experiment."""

import os
from pathlib import Path


def root() -> Path:
    """The folder with ``.dvc``: of the main checkout when DVC runs this, else the nearest one upwards."""
    if named := os.environ.get("DVC_ROOT"):
        return Path(named).resolve()
    return nearest(Path.cwd()) or Path.cwd()


def nearest(folder: Path) -> Path | None:
    """The innermost checkout that a folder is or lies in."""
    return next((each for each in (folder, *folder.parents) if (each / ".dvc").is_dir()), None)
