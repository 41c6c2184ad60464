"""quantize: the weights of the chosen network, as trained and rounded to float16, and which run they are from."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from torch import Tensor

from gradflow import checkpoints
from gradflow.data import dataset
from gradflow.data.dataset import Points
from gradflow.files import documents
from gradflow.files.writing import write_json
from gradflow.kit.building import build
from gradflow.kit.layers import Kit
from gradflow.params.loading import load
from gradflow.tracking.result import Artefacts
from serving import choice, forms, rounding
from serving.bundle import CHECKPOINT, FIGURE, RUN, SCALER, Named
from serving.choice import Choice
from serving.params import Params

_SIDE = 100  # points of the grid along each feature


@click.command()
@click.argument("champion", type=click.Path(path_type=Path))
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("network", type=click.Path(path_type=Path))
def main(champion: Path, root: Path, network: Path) -> None:
    """Read the results of the pipeline in ROOT, or the model that CHAMPION names; write the folder NETWORK."""
    torch.set_num_threads(1)  # the same sums, hence the same rounding, on any number of cores
    params, model = load(Params), documents.read(champion, Named)["model"]
    at = Artefacts(*(root / name for name in ("params.yaml", "dvc.lock", "data", "models", "logs", "reports")))
    network.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        chosen = choice.registered(params, model, at, Path(folder)) if model else choice.here(params, at)
        _write(chosen, dataset.read(at.data / "scaled" / "train.parquet")[0], network)
    run = chosen.run
    click.echo(f"{run.variant}, seed {run.seed}: validation loss {run.val_loss:.4g}, run {run.fingerprint[:12]}")


def _write(chosen: Choice, rows: Points, network: Path) -> None:
    shutil.copyfile(chosen.checkpoint, network / CHECKPOINT)
    _, config = checkpoints.read(chosen.checkpoint)
    stack, whole = build(config, Kit(seeds=1)), checkpoints.load(chosen.checkpoint, chosen.run.seed)
    alone = config | {"seeds": 1}
    stack.load_state_dict({name: weight[None] for name, weight in whole.state_dict().items()})
    checkpoints.save(network / forms.FILES["float32"], stack, alone)
    half = rounding.rounded(whole, _around(rows))
    stack.half().load_state_dict({name: weight[None] for name, weight in half.state_dict().items()})
    checkpoints.save(network / forms.FILES["float16"], stack, alone)
    write_json(network / RUN, chosen.run.model_dump())
    write_json(network / SCALER, chosen.scaler.model_dump())
    shutil.copyfile(chosen.figure, network / FIGURE)


def _around(rows: Points) -> Tensor:
    """Rows (n, 2), and a grid over the region around them: what a network in FP16 must answer as the trained one."""
    left, right, lower, upper = dataset.around(rows, forms.MARGIN)
    grid = np.meshgrid(np.linspace(left, right, _SIDE), np.linspace(lower, upper, _SIDE))
    return torch.from_numpy(np.concatenate([rows, np.stack(grid, axis=-1).reshape(-1, 2)]))


if __name__ == "__main__":
    main()
