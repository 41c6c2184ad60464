"""Where this checkout is, also when a stage runs in the copy that DVC makes for an experiment."""

import os
from pathlib import Path

STUDIES = "studies"
_INSIDE = (STUDIES, "serving")  # DVC projects of their own inside that of the root


def root() -> Path:
    """The top folder: of the main checkout when DVC runs this, else of the one that this runs in."""
    folder = Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()
    return around(folder) or folder


def around(folder: Path) -> Path | None:
    """The top folder of the checkout that a folder is or lies in: DVC's outermost project in git's."""
    found = []
    for each in (folder, *folder.parents):
        if (each / ".dvc").is_dir():
            found.append(each)
        if (each / ".git").exists():
            break
    else:  # without git nothing says where it ends: a .dvc further up may be something else's
        found = found[: 1 + _is_inside(found)]
    return found[-1] if found else None


def _is_inside(found: list[Path]) -> bool:
    """Whether the first project is one inside the second, and not a root that is called so by chance."""
    if len(found) < 2 or found[0] not in [found[1] / name for name in _INSIDE]:
        return False
    return not any((found[0] / name / ".dvc").is_dir() for name in _INSIDE)


def projects(root: Path) -> list[Path]:
    """The DVC projects of a checkout: its root, the studies, and what is served."""
    return [each for each in (root, *(root / name for name in _INSIDE)) if (each / ".dvc").is_dir()]
