"""A bundle: one folder with all that travels with a served network, and the checksums of its files.

It holds the weights of one seed, the scaler, which run they are from, and what the watch over inputs compares with.
Nothing in it is a pickle, and the same results make the same bytes. :mod:`serving.forms` loads the network of one.
"""

import hashlib
from pathlib import Path

from gradflow.files import documents
from gradflow.files.documents import Document
from gradflow.files.writing import write_text
from gradflow.guards.errors import RunError
from serving.params import Form, Limits, Monitor

RUN = "run.json"  # this and the next one go from stage to stage, not into a bundle
CHECKPOINT = "checkpoint.safetensors"
DESCRIPTION = "bundle.json"
REFERENCE = "reference.json"
SCALER = "scaler.json"
FIGURE = "gradient_flow.png"
TRIAL = "trial.json"
SUMS = "SHA256SUMS"  # as `sha256sum --check` reads it


class Named(Document):
    """champion.json: the version of a registered model that is to be served, ``models:/NAME/VERSION``; null: none."""

    model: str | None


class Run(Document):
    """Which network of which run it is.

    Attributes:
        variant: Its key in params.yaml.
        seed: Of the network.
        fingerprint: The tag of the same name that the run has in MLflow.
        data: SHA-256 of data and scaler, as that tag of MLflow.
        val_loss: On the validation rows, of this seed.
        val_accuracy: Likewise.
        numbers: What reports/metrics.json says of the variant, means over seeds.
        classes: What the labels 0 and 1 were called.
        features: What x1 and x2 were called.
    """

    variant: str
    seed: int
    fingerprint: str
    data: str
    val_loss: float
    val_accuracy: float
    numbers: dict[str, float]
    classes: list[str]
    features: list[str]


class Scaler(Document):
    """How points were standardised: the mean and the scale of both features, which the pipeline wrote and checked."""

    mean: list[float]
    scale: list[float]


class Description(Document):
    """bundle.json: the run, the form that is served, and what a server keeps to."""

    run: Run
    form: Form
    limits: Limits
    monitor: Monitor


class Trial(Document):
    """Training rows with what the checkpoint makes of them, to see whether a server answers rightly.

    Attributes:
        points: (rows, 2).
        probabilities: (rows, 2).
        tolerance: Largest difference of a probability.
    """

    points: list[list[float]]
    probabilities: list[list[float]]
    tolerance: float


def described(folder: Path) -> Description:
    """What a bundle says of itself.

    Raises:
        RunError: Its description is missing, damaged or something else.
    """
    return Description(**documents.read(folder / DESCRIPTION, Description))


def seal(folder: Path) -> None:
    """Write the checksums of all files of a bundle."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(_digests(folder).items())]
    write_text(folder / SUMS, "".join(lines))


def check(folder: Path) -> str:
    """Compare a bundle with its checksums.

    Returns:
        The SHA-256 of the list of checksums, which is a name for the whole of it.

    Raises:
        RunError: It is missing, or a file of it is missing, damaged or additional.
    """
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in text.splitlines())}
    except FileNotFoundError:
        raise RunError(f"{folder}: there is no bundle; run `dvc repro` in serving/, which makes it") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / SUMS}: cannot be read ({error}); run `dvc repro --force` in serving/") from None
    found = _digests(folder)
    for name in sorted(sums.keys() | found.keys()):
        if sums.get(name) != found.get(name):
            raise RunError(
                f"{folder / name}: is not what its bundle was made with; "
                f"delete {folder} and run `dvc repro` in serving/"
            )
    return hashlib.sha256(text.encode()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
