"""errors: how far gradients from sketches are from the exact ones, of one network, all its seeds."""

from pathlib import Path

import click
import numpy as np
import pandas as pd
import pyarrow as pa

from gradflow.files import parquet
from gradflow.memory.sketched import SketchingKit
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from gradflow.training.rows import Labelled
from studies.memory import gradients, passes
from studies.memory.gradients import Batch
from studies.memory.params import Params
from studies.memory.rules import RULES


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, train: Path, logs: Path) -> None:
    """Measure gradients of VARIANT of MODELS on TRAIN rows, before training and after it, and write to LOGS.

    VARIANT may also be what DVC calls the stage: errors@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    device.from_environment()  # for its threads
    about = training.described(config.variants[variant], config.depth, config.width)
    start = training.drawn(about, config.seeds, config.train.seed, SketchingKit)
    path = models / f"{variant}.safetensors"
    network, diverged = training.read(path, about, config.train, config.seeds, SketchingKit)
    points, labels = training.labelled(train)
    size, measured = config.train.batch_size, config.errors
    first, second = (points[:size], labels[:size]), (points[size : 2 * size], labels[size : 2 * size])
    sketches, exact, rules = {}, {}, {}
    for moment, each in {"start": start, "end": network}.items():
        batch = gradients.on(each, first)
        few = min(measured.buckets)
        for buckets, scalars in [*((each, False) for each in measured.buckets), (few, True)]:
            sketches[moment, buckets, scalars] = gradients.by_sketches(
                batch, buckets, measured.draws, measured.seed, scalars=scalars
            )
        exact[moment] = passes.compared(each, batch, first, few, measured.share, measured.seed)
        rules[moment] = _by_rules(config, each, batch, second)
    if gradients.opening(network) is not None:
        gradients.shut(network, config.rules.whole(config.depth, size), config.rules.gate)
        rules["shut"] = _by_rules(config, network, gradients.on(network, first), second)
    tables = {
        "sketches": pd.concat(sketches, names=["moment", "buckets", "scalars"]).reset_index(level=[0, 1, 2]),
        "exact": pd.concat(exact, names=["moment"]).reset_index(level=0),
        "rules": pd.concat(rules, names=["moment"]).reset_index(level=0),
    }
    tables["sketches"]["scalars"] = tables["sketches"]["scalars"].astype(int)
    for name, table in tables.items():
        kept = table[(table["moment"] == "start") | ~table["seed"].isin(diverged)]
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(kept, preserve_index=False))


def _by_rules(config: Params, network: Network, batch: Batch, before: Labelled) -> pd.DataFrame:
    """The error by each rule that the network has scores for.

    Ratios of branches and gates are known when a block has read its stream. E is not: it is that of another batch.

    Returns:
        Columns rule, seed; error, to be expected by theory; kept, the share of all rows that blocks keep.
    """
    scores = {
        "ratio": batch.ratio,
        "gate": gradients.opening(network),
        "spread": gradients.on(network, before).spread,
    }
    found = {}
    for name, (rule, score) in RULES.items():
        known = scores[score]
        if known is not None:
            rows = rule(known.numpy().astype(np.float64), config.train.batch_size, config.rules)
            error, kept = gradients.error(batch, rows), rows.mean(0) / config.train.batch_size
            found[name] = pd.DataFrame({"seed": range(config.seeds), "error": error, "kept": kept})
    return pd.concat(found, names=["rule"]).reset_index(level=0)


if __name__ == "__main__":
    main()
