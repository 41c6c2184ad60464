"""quantize: the weights of the chosen network, as trained and rounded to float16, and which run they are from."""

import shutil
from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tracking.result import Artefacts
from serving import choice, forms
from serving.bundle import FIGURE, RUN, SCALER
from serving.params import Params


@click.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("network", type=click.Path(path_type=Path))
def main(root: Path, network: Path) -> None:
    """Read the results of the pipeline in ROOT; write the folder NETWORK."""
    params = load(Params)
    at = Artefacts(*(root / name for name in ("params.yaml", "dvc.lock", "data", "models", "logs", "reports")))
    chosen = choice.here(params, at)
    network.mkdir(exist_ok=True)
    forms.keep(chosen.checkpoint, chosen.run.seed, network / forms.FILES["float32"], network / forms.FILES["float16"])
    write_json(network / RUN, chosen.run.model_dump())
    write_json(network / SCALER, chosen.scaler.model_dump())
    shutil.copyfile(chosen.figure, network / FIGURE)
    run = chosen.run
    click.echo(f"{run.variant}, seed {run.seed}: validation loss {run.val_loss:.4g}, run {run.fingerprint[:12]}")


if __name__ == "__main__":
    main()
