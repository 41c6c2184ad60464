"""quantize: the weights of the chosen network, as trained and rounded to float16, and which run they are from."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from gradflow.files import documents
from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tracking.result import Artefacts
from serving import choice, forms
from serving.bundle import CHECKPOINT, FIGURE, RUN, SCALER, Named
from serving.choice import Choice
from serving.params import Params


@click.command()
@click.argument("champion", type=click.Path(path_type=Path))
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("network", type=click.Path(path_type=Path))
def main(champion: Path, root: Path, network: Path) -> None:
    """Read the results of the pipeline in ROOT, or the model that CHAMPION names; write the folder NETWORK."""
    params, model = load(Params), documents.read(champion, Named)["model"]
    at = Artefacts(*(root / name for name in ("params.yaml", "dvc.lock", "data", "models", "logs", "reports")))
    network.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        chosen = choice.registered(params, model, at, Path(folder)) if model else choice.here(params, at)
        _write(chosen, network)
    run = chosen.run
    click.echo(f"{run.variant}, seed {run.seed}: validation loss {run.val_loss:.4g}, run {run.fingerprint[:12]}")


def _write(chosen: Choice, network: Path) -> None:
    shutil.copyfile(chosen.checkpoint, network / CHECKPOINT)
    forms.keep(chosen.checkpoint, chosen.run.seed, network / forms.FILES["float32"], network / forms.FILES["float16"])
    write_json(network / RUN, chosen.run.model_dump())
    write_json(network / SCALER, chosen.scaler.model_dump())
    shutil.copyfile(chosen.figure, network / FIGURE)


if __name__ == "__main__":
    main()
