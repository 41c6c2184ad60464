"""Everything to track of a study with stages of its own, read from the files in its folder alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gradflow.files import documents, parquet
from gradflow.guards import manifest
from gradflow.params import reading
from gradflow.tracking import entry
from gradflow.tracking.entry import Entry, Model, Seed, Variant
from gradflow.tracking.experiment import DEFAULT

_PARAMS, _LOCK = Path("params.yaml"), Path("dvc.lock")


class Trained(NamedTuple):
    """A network of a study, all its seeds.

    Attributes:
        name: Its key in metrics.json.
        about: What its checkpoint must say of it.
        seeds: How many there are.
        checkpoint: Their weights.
        history: A Parquet table, columns seed; epoch or step; and what was looked at.
        last: Epoch or step of the last look, which a seed that diverges does not see.
        model: What is logged of the best seed.
        judged: The column that says which seed is best at the end.
        best: What of it.
    """

    name: str
    about: Mapping[str, Any]
    seeds: int
    checkpoint: Path
    history: Path
    last: int
    model: Model
    judged: str = "val_loss"
    best: Literal["lowest", "highest"] = "lowest"


def experiment(name: str) -> str:
    """The MLflow experiment of a study."""
    return f"{DEFAULT}-{name}"


def read(name: str, networks: list[Trained], reports: Path) -> Entry:
    """Read the result of the study in the current folder.

    Its models are not registered, since networks of a study are compared, not replaced.

    Args:
        name: Of the study.
        networks: All that it has trained.
        reports: Folder of its tables (CSV), its metrics.json and its figures.

    Raises:
        InputError: params.yaml is missing or not readable.
        RunError: An output is missing or damaged.
    """
    params = dict(entry.flat(reading.read(_PARAMS)))
    numbers = documents.read_by_variant(
        reports / "metrics.json", dict[str, Any], [network.name for network in networks]
    )
    files = entry.files(sorted(reports.glob("*.csv")), reports, _PARAMS, _LOCK)
    content = [path for paths in files.values() for path in paths if path not in (_PARAMS, _LOCK)]
    content += [path for network in networks for path in (network.checkpoint, network.history)]
    for path in content:
        manifest.check(path)
    fingerprint = entry.fingerprint(params, content)
    return Entry(
        name=f"{name}-{fingerprint[:6]}",
        source=f"studies/{name}",
        params=params,
        data=[],
        data_hash="",
        variants=[_variant(network, numbers[network.name]) for network in networks],
        files=files,
        fingerprint=fingerprint,
    )


def _variant(network: Trained, numbers: Mapping[str, Any]) -> Variant:
    history = parquet.read(network.history).to_pandas().rename(columns={"step": "epoch"})
    if missing := {"seed", "epoch", network.judged} - set(history):
        raise manifest.unusable(network.history, f"must have a column {', '.join(sorted(missing))}")
    final = history[history["epoch"] == network.last].set_index("seed")[network.judged]
    diverged = sorted(set(range(network.seeds)) - set(final.index))
    best = final.idxmin if network.best == "lowest" else final.idxmax
    curves = entry.drawable(entry.losses(history))
    return Variant(
        name=network.name,
        numbers=entry.last(curves) | dict(entry.numbers(numbers)),
        curves=curves,
        tags={"diverged_seeds": ", ".join(map(str, diverged)) or "none"},
        checkpoint=network.checkpoint,
        trained=network.about,
        best=Seed(int(best())) if len(final) else None,
        model=network.model,
    )
