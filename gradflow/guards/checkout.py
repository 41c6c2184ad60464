"""Where this checkout is, also when a stage runs in the copy that DVC makes for an experiment."""

import os
from pathlib import Path

STUDIES = "studies"  # where a second DVC project lies, inside that of the root


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
        found = found[: 1 + _are_its_studies(found)]
    return found[-1] if found else None


def _are_its_studies(found: list[Path]) -> bool:
    """Whether the first project is that of the second one's studies, and not a root that is called so by chance."""
    return len(found) > 1 and found[0] == found[1] / STUDIES and not (found[0] / STUDIES / ".dvc").is_dir()


def projects(root: Path) -> list[Path]:
    """The DVC projects of a checkout: its root, and the studies."""
    return [each for each in (root, root / STUDIES) if (each / ".dvc").is_dir()]
