"""measure: lesions of one trained network, all its seeds, and its gradient by path length before and after training."""

from pathlib import Path

import click
import numpy as np
import pandas as pd
import pyarrow as pa

from gradflow.files import parquet
from gradflow.instruments import lesions
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from gradflow.training.rows import Labelled
from studies.lesions import lengths
from studies.lesions.params import Params

# What random numbers are drawn for. All variants and seeds lose the same blocks.
_DROPPED, _SWAPPED = 0, 1


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, train: Path, validation: Path, logs: Path) -> None:
    """Measure VARIANT of MODELS on TRAIN rows (gradients) and VALIDATION rows (lesions), and write to LOGS.

    VARIANT may also be what DVC calls the stage: measure@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen = config.variants[variant]
    device.from_environment()  # for its threads
    about = training.described(chosen, config.depth, config.width)
    start = training.drawn(about, config.seeds, config.train.seed)
    network, diverged = training.read(
        models / f"{variant}.safetensors", about | {"survival": chosen.survival}, config.train, config.seeds
    )
    rows = training.labelled(train)
    moments = {"start": start, "end": network}
    paths = {moment: lengths.table(each, about, rows, config.paths.rows) for moment, each in moments.items()}
    seeds = pd.DataFrame({"seed": range(config.seeds)})
    seeds["diverged"] = seeds["seed"].map(diverged).astype(float)
    tables = {
        "seeds": seeds,
        "lesions": _lesions(config, network, training.labelled(validation)),
        "paths": pd.concat(paths, names=["moment"]).reset_index("moment").reset_index(drop=True),
    }
    for name, table in tables.items():
        kept = table if name == "seeds" else table[~table["seed"].isin(diverged)]
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(kept, preserve_index=False))


def _lesions(config: Params, network: Network, rows: Labelled) -> pd.DataFrame:
    """Accuracy after each lesion.

    Returns:
        Columns seed, kind, number, draw, accuracy. Kind ``single``: one block is dropped, that of this number;
        ``dropped``: so many random blocks are; ``swapped``: so many random pairs of blocks change places.
    """
    depth, chosen = config.depth, config.lesions
    orders = {("single", one, 0): [other for other in range(depth) if other != one - 1] for one in range(1, depth + 1)}
    random = np.random.default_rng((chosen.seed, _DROPPED))
    for dropped in range(depth + 1):
        for draw in range(chosen.draws):
            orders["dropped", dropped, draw] = lesions.without(random, depth, dropped).tolist()
    random = np.random.default_rng((chosen.seed, _SWAPPED))
    for swaps in (0, *chosen.swaps):
        for draw in range(chosen.draws):
            orders["swapped", swaps, draw] = lesions.swapped(random, depth, swaps).tolist()
    points, labels = rows
    found, known = [], {}
    for (kind, number, draw), order in orders.items():
        if tuple(order) not in known:
            known[tuple(order)] = lesions.accuracy(network, training.stacked(points, network), labels, order).numpy()
        table = {"seed": range(config.seeds), "kind": kind, "number": number, "draw": draw}
        found.append(pd.DataFrame(table | {"accuracy": known[tuple(order)]}))
    return pd.concat(found, ignore_index=True)


if __name__ == "__main__":
    main()
