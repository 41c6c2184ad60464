"""agree: how far each form of the network, and what legs take along of it, is from the checkpoint."""

from itertools import product
from pathlib import Path
from typing import get_args

import click
import numpy as np
import torch

from gradflow import checkpoints
from gradflow.data import dataset
from gradflow.data.dataset import Points
from gradflow.files import documents
from gradflow.files.writing import write_json
from gradflow.guards.errors import RunError
from gradflow.params.loading import load
from serving import bundle, forms
from serving.bundle import Scaler
from serving.legs.packing import PACKERS
from serving.params import Form, Params


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("folder", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.argument("agreement", type=click.Path(path_type=Path))
def main(network: Path, validation: Path, folder: Path, agreement: Path) -> None:
    """Compare what BUNDLE holds with the checkpoint in NETWORK, on VALIDATION rows and random points; write AGREEMENT.

    The form that is served, and what legs take along of it, must keep to the parameters; the other forms are there to
    be chosen by their numbers.
    """
    params = load(Params)
    asked, run = params.agreement, bundle.described(folder).run
    scaler = Scaler(**documents.read(folder / bundle.SCALER, Scaler))
    mean, scale = np.array(scaler.mean), np.array(scaler.scale)
    rows = dataset.read(validation)[0] * scale + mean
    left, right, lower, upper = dataset.around(rows, forms.MARGIN)
    drawn = np.random.default_rng(asked.seed).uniform((left, lower), (right, upper), (asked.rows, 2))
    points = {"validation": rows, "random": drawn}

    whole = checkpoints.load(network / bundle.CHECKPOINT, run.seed)

    def trained(raw: Points) -> Points:
        with torch.inference_mode():
            logits = whole(torch.from_numpy((raw - mean) / scale).float())
            return np.asarray(torch.softmax(logits.double(), dim=1).numpy())

    right_ones = {name: trained(raw) for name, raw in points.items()}
    held = {form: forms.load(folder, form) for form in get_args(Form)}
    held |= {leg: packer.network(folder / leg) for leg, packer in PACKERS.items()}
    numbers = {
        name: {
            f"{where}_{key}": number
            for where, raw in points.items()
            for key, number in _compared(each.probabilities(raw), right_ones[where]).items()
        }
        for name, each in held.items()
    }
    write_json(agreement, numbers)
    served = bundle.described(folder).form
    for name, where in product((served, *PACKERS), points):
        apart, equal = (numbers[name][f"{where}_{key}"] for key in ("largest_difference", "equal_labels"))
        if not apart <= asked.allowed(served) or equal < asked.labels:  # nan is no small difference
            raise RunError(
                f"{name} on {where} points: probabilities differ by up to {apart:.2g}, {equal:.4%} of the labels are "
                f"equal; params.yaml: agreement allows {asked.allowed(served):g} and {asked.labels:.4%}"
            )


def _compared(found: Points, right: Points) -> dict[str, float]:
    """Share of equal labels and largest difference, of probabilities (rows, 2)."""
    return {
        "rows": len(right),
        "equal_labels": float((found.argmax(axis=1) == right.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(found - right).max()),
    }


if __name__ == "__main__":
    main()
