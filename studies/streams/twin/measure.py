"""measure: one of the perceptrons after training, all its seeds: lenses, probes, lesions and patches by layer."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from gradflow import checkpoints
from gradflow.digits.dataset import CLASSES
from gradflow.digits.tensors import labelled
from gradflow.files import parquet
from gradflow.networks import digits
from gradflow.params.loading import load, of_stage
from gradflow.streams import lens, patching
from gradflow.training import device
from studies.streams.params import Params
from studies.streams.twin.params import Measure
from studies.streams.twin.probes import Probes

if TYPE_CHECKING:
    from gradflow.training.rows import Labelled


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, train: Path, validation: Path, logs: Path) -> None:
    """Measure VARIANT of MODELS on VALIDATION rows, with what has learnt on the TRAIN rows, and write to LOGS.

    VARIANT may also be what DVC calls the stage: twin_measure@VARIANT.
    """
    config = load(Params).twin
    variant = of_stage(variant, config.variants)
    device.from_environment()  # for its threads
    rows = labelled(train), labelled(validation)
    found = []
    for seed in range(config.seeds):
        network = checkpoints.load(models / f"{variant}.safetensors", seed, config.trained(variant))
        assert isinstance(network, digits.Network)
        found.append(measured(network, *rows, config.measure).assign(seed=seed))
    layers = pd.concat(found).replace([np.inf, -np.inf], np.nan)  # a gap, where a network has diverged
    parquet.write(logs / f"{variant}.layers.parquet", pa.Table.from_pandas(layers, preserve_index=False))


def measured(network: digits.Network, train: "Labelled", validation: "Labelled", how: Measure) -> pd.DataFrame:
    """Read and change the streams of a single network.

    Args:
        network: The network.
        train: What lenses and probes learn on.
        validation: What all is measured on.
        how: See :class:`Measure`.

    Returns:
        A row a stream, from x_0 before the first block to x_L: layer; logit and tuned, the mean of KL(network || lens)
        in nats; own, the accuracy of a probe of x_l on x_l, and next, on x_(l+1), nan for the last stream; left_out,
        the accuracy without block l, past which x_(l-1) goes on as it is, nan for x_0; and recovered, of the logit of
        the digit less that of another digit, in a run on an image of that other one into which x_l is put as a whole.
    """
    images, labels = validation
    with torch.no_grad():
        learnt_on = patching.streams(network, network.stem(train[0]))
        found = patching.streams(network, network.stem(images))
    depth = len(found) - 1
    tuned = lens.Tuned(learnt_on, network.read, steps=how.lens_steps, lr=how.lens_lr)
    probes = Probes(learnt_on, train[1], classes=CLASSES, decay=how.probe_decay)
    with torch.no_grad():
        last, streams = network.read(found[-1]), torch.stack(found)
        own = _accuracy(probes(streams), labels)
        after = _accuracy(probes(torch.cat([streams[1:], streams[-1:]])), labels)[:-1]
        left_out = [_accuracy(network.read(_rest(network, found[block], block + 1)), labels) for block in range(depth)]
        return pd.DataFrame(
            {
                "layer": range(depth + 1),
                "logit": lens.distance(last, network.read(streams)).mean(1),
                "tuned": lens.distance(last, tuned(streams)).mean(1),
                "own": own,
                "next": [*after.tolist(), float("nan")],
                "left_out": [float("nan"), *map(float, left_out)],
                "recovered": _recovered(network, found, labels),
            }
        )


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (..., rows, classes) to (...) in float64; nan where they are not finite, and so have no largest one."""
    return (logits.argmax(-1) == labels).double().mean(-1).where(logits.isfinite().all(-1).all(-1), torch.nan)


def _rest(network: digits.Network, x: Tensor, block: int) -> Tensor:
    """Take a stream through all blocks from that number on, the first one 0."""
    for each in list(network.blocks)[block:]:
        x = each(x)
    return x


def _recovered(network: digits.Network, clean: list[Tensor], labels: Tensor) -> list[float]:
    """By layer, over images each of which is corrupted by the next one in the file that shows another digit."""
    rows = torch.arange(len(labels))
    differs = labels != labels.unsqueeze(1)
    ahead = (rows - rows.unsqueeze(1)).remainder(len(labels)).where(differs, len(labels))
    other = ahead.argmin(1)
    corrupted = [x[other] for x in clean]

    def answer(last: Tensor) -> Tensor:
        logits = network.read(last)
        return (logits[rows, labels] - logits[rows, labels[other]]).double().mean()

    ends, whole = (answer(clean[-1]), answer(corrupted[-1])), torch.ones(len(labels), dtype=torch.bool)
    patched = (patching.patched(network, clean, corrupted, layer, whole) for layer in range(len(clean)))
    return [float(patching.recovered(*ends, answer(last))) for last in patched]


if __name__ == "__main__":
    main()
