"""train: one variant, all its seeds together."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click
import torch
from tqdm import tqdm

from gradflow import checkpoints, compiled, configuration, dataset, device, logs, params, training, unfinished
from gradflow.errors import InputError
from gradflow.initialisation import initialised


@click.command()
@click.argument("variant")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("measured", metavar="LOGS", type=click.Path(path_type=Path))
def main(variant: str, train: Path, validation: Path, models: Path, measured: Path) -> None:
    """Train VARIANT on the TRAIN rows; write its weights to MODELS and what was measured on the way to LOGS.

    VARIANT may also be what DVC calls the stage: train@VARIANT.
    """
    config = params.load()
    variant = variant.rpartition("@")[2]
    if variant not in config.variants:
        known = ", ".join(config.variants)
        raise InputError("params.yaml: variants", f"must have an entry {variant!r}, got {known}")
    chosen = config.variants[variant]
    own = config.of(variant)
    where, threads = device.from_environment()
    train_set, val_set = (_tensors(path, where) for path in (train, validation))
    config.check_batches(len(train_set[0]))

    network = initialised(
        chosen.block,
        chosen.settings(),
        own.depth,
        config.width,
        seeds=config.seeds,
        init=own.train.init,
        seed=own.train.seed,
    ).to(where)
    about = configuration.of(config, variant)
    in_c = compiled.can_train(network)
    library = compiled.library() if in_c else None
    if in_c and not library:
        why = "no C compiler works here (cc, or what CC names), or what it makes cannot be kept"
        click.echo(f"{variant}: {why}: training takes longer", err=True)
    circumstances = device.circumstances(where, threads) | {"step": "C" if library else "PyTorch"}
    work = about | circumstances | {"probe": config.probe.model_dump(), "processor": device.processor(where)}
    inputs = [train, validation, *([Path(library._name)] if library else [])]
    with (
        unfinished.kept(unfinished.fingerprint(work, inputs)) as state,
        tqdm(total=own.train.epochs, desc=variant, unit="epoch", disable=not sys.stderr.isatty()) as bar,
    ):
        record = training.train(
            network,
            train_set,
            val_set,
            own.train,
            config.probe,
            report=_reporter(variant, own.train.epochs, bar),
            unfinished=state,
        )
        checkpoints.save(models / f"{variant}.safetensors", network, about)
        logs.write_grad_norms(measured / f"{variant}.parquet", record)
        logs.write_history(measured / f"{variant}.history.parquet", record)
        logs.write_probes(measured / f"{variant}.probe.parquet", record)
        logs.write_facts(measured / f"{variant}.json", record, about | circumstances)


def _tensors(path: Path, where: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    points, labels = dataset.read(path)
    return torch.from_numpy(points).float().to(where), torch.from_numpy(labels).to(where)


def _reporter(variant: str, epochs: int, bar: "tqdm[NoReturn]") -> Callable[[training.Epoch], None]:
    """A progress bar on a terminal; elsewhere ten plain lines."""

    def report(epoch: training.Epoch) -> None:
        said = [f"loss {epoch.train_loss:.4g}", f"accuracy {epoch.val_accuracy:.3f}"] if epoch.training else []
        if epoch.training < epoch.seeds:
            said.append(f"{epoch.seeds - epoch.training} of {epoch.seeds} seeds diverged")
        text = ", ".join(said)
        bar.set_postfix_str(text, refresh=False)
        bar.update(epoch.number - bar.n)  # the first one may go on from where another process was
        last = epoch.number == epochs or not epoch.training
        if bar.disable and (last or epoch.number % max(1, epochs // 10) == 0):
            print(f"{variant}: epoch {epoch.number}/{epochs}, {text}", flush=True)

    return report


if __name__ == "__main__":
    main()
