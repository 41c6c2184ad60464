"""package: all that travels with the network in one folder, sealed with checksums."""

import shutil
from pathlib import Path

import click
import numpy as np

from gradflow import checkpoints
from gradflow.data import dataset
from gradflow.files import documents
from gradflow.files.writing import write_json
from gradflow.params.loading import load
from serving import bundle, drift, forms
from serving.bundle import Description, Run, Scaler, Trial
from serving.legs.packing import PACKERS
from serving.params import Params

_TRIAL_ROWS = 64
_OTHER_MACHINES = 1e-3  # least tolerance of a trial: a leg may compute elsewhere than where it was packed


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("folder", metavar="BUNDLE", type=click.Path(path_type=Path))
def main(network: Path, train: Path, folder: Path) -> None:
    """From the folder NETWORK and the TRAIN split, which is standardised, to the folder BUNDLE."""
    params = load(Params)
    shutil.copytree(network, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(bundle.RUN, bundle.CHECKPOINT))
    run = Run(**documents.read(network / bundle.RUN, Run))
    described = Description(run=run, form=params.form, limits=params.limits, monitor=params.monitor)
    write_json(folder / bundle.DESCRIPTION, described.model_dump())

    scaler = Scaler(**documents.read(folder / bundle.SCALER, Scaler))
    rows, labels = dataset.read(train)
    points = rows * np.array(scaler.scale) + np.array(scaler.mean)
    write_json(folder / bundle.REFERENCE, drift.reference(points, labels, params.monitor.bins).model_dump())
    trained = forms.OnPoints(checkpoints.load(network / bundle.CHECKPOINT, run.seed), scaler)
    few = points[:_TRIAL_ROWS]
    trial = Trial(
        points=few.tolist(),
        probabilities=forms.probabilities(trained, few).tolist(),
        tolerance=max(_OTHER_MACHINES, params.agreement.allowed(params.form)),
    )
    write_json(folder / bundle.TRIAL, trial.model_dump())

    for leg, packer in PACKERS.items():
        (folder / leg).mkdir(exist_ok=True)
        packer.write(folder, folder / leg)

    bundle.seal(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    click.echo(f"{folder}: {size:,} bytes, {params.form}, {bundle.check(folder)[:12]}")


if __name__ == "__main__":
    main()
