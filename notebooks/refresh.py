"""`make notebooks`: run each notebook in a fresh clone of what stands here, and keep what it shows."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
SECONDS = 600  # that a cell may take
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main() -> None:
    """Run all notebooks, one after another."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": "", "GRADFLOW_DEVICE": "cpu"}
    with tempfile.TemporaryDirectory() as above:
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            print(path.relative_to(ROOT), flush=True)
            clone = fresh_clone(Path(above) / path.stem, environment)
            nbformat.write(executed(clone / "notebooks" / path.name, environment), path)


def fresh_clone(folder: Path, environment: Mapping[str, str]) -> Path:
    """A repository of the files of this checkout as they are now, changes included, with nothing run in it."""

    def git(*arguments: str, at: Path) -> str:
        command = ["git", "-C", str(at), *arguments]
        return subprocess.run(command, env=dict(environment), check=True, capture_output=True, text=True).stdout

    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", at=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git("init", "--quiet", "--initial-branch=main", at=folder)
    git("add", "--all", at=folder)
    author = ["-c", "user.name=gradflow", "-c", "user.email=gradflow@localhost"]
    git(*author, "commit", "--quiet", "--message", "As it stands", at=folder)
    return folder


def executed(path: Path, environment: Mapping[str, str]) -> nbformat.NotebookNode:
    """Run a notebook where it lies, with this Python, and return it without what differs between runs by itself.

    Raises:
        CellExecutionError: A cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", record_timing=False, coalesce_streams=True, resources=where
    )
    client.execute(env=dict(environment))
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


if __name__ == "__main__":
    main()
