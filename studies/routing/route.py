"""route: what every policy does to one trained network, all its seeds."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from gradflow.files import parquet
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from gradflow.training.rows import Labelled
from studies.routing import learning, measured, thresholds
from studies.routing.params import Params
from studies.routing.routers.chance import Chance
from studies.routing.routers.early_exit import EarlyExit
from studies.routing.routers.fixed import Fixed
from studies.routing.routers.oracle_norm import OracleNorm
from studies.routing.routers.oracle_ratio import OracleRatio
from studies.routing.routers.router import Router
from studies.routing.routers.stream_norm import StreamNorm

_LEARNT = {  # what a controller reads, and whether the network is trained on with it
    "learned": ("stream", False),
    "learned_from_norm": ("norm", False),
    "learned_jointly": ("stream", True),
}


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, rows: Path, logs: Path) -> None:
    """Route VARIANT of MODELS on rows of its task in the folder ROWS, and write to LOGS.

    Thresholds, fixed subsets and controllers come from train rows, all numbers from validation rows. VARIANT may also
    be what DVC calls the stage: route@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen = config.variants[variant]
    device.from_environment()  # for its threads
    about = training.described(chosen, config.depth, config.width)
    about |= {"survival": chosen.survival, "losses": chosen.losses}
    network, diverged = training.read(models / f"{variant}.safetensors", about, config.train, config.seeds)
    network.requires_grad_(False)
    train, validation = (training.labelled(rows / f"{chosen.task}.{part}.parquet") for part in ("train", "validation"))
    alive = [seed for seed in range(config.seeds) if seed not in diverged]
    numbers, of_rows = _policies(config, chosen.controllers, network, train, validation, alive)
    seeds = pd.DataFrame({"seed": range(config.seeds)})
    seeds["diverged"] = seeds["seed"].map(diverged).astype(float)
    points, labels = validation
    plane = pd.DataFrame({"x1": points[:, 0], "x2": points[:, 1], "label": labels})
    tables = {
        "seeds": seeds,
        "policies": numbers[numbers["seed"].isin(alive)],
        "rows": of_rows.join(plane, on="row"),
    }
    for name, table in tables.items():
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(table, preserve_index=False))


def _policies(
    config: Params,
    controllers: Sequence[str],
    network: Network,
    train: Labelled,
    validation: Labelled,
    alive: Sequence[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of :func:`measured.policy`, with columns policy and target, the share that was asked for."""
    routing = config.routing
    known, labels = (part[: routing.train_rows] for part in train)
    known = training.stacked(known, network)
    routers: dict[str, Router] = {
        "oracle_ratio": OracleRatio(),
        "oracle_norm": OracleNorm(),
        "norm_below": StreamNorm("below"),
        "norm_above": StreamNorm("above"),
        "random": Chance(routing.seed),
        "fixed": Fixed(network, known, labels),
        "early_exit": EarlyExit(network),
    }
    points, right = training.stacked(validation[0], network), validation[1]
    random = np.random.default_rng(routing.seed)
    draws = torch.from_numpy(np.stack([random.permutation(len(right)) for _ in range(routing.draws)]))
    with torch.inference_mode():
        whole = network(points)
    numbers: list[pd.DataFrame] = []
    rows: list[pd.DataFrame] = []

    def measure(policy: str, target: float, routed: Network, router: Router, threshold: Tensor) -> None:
        tables = measured.policy(routed, whole, points, right, router, threshold, draws, alive)
        for found, table in zip((numbers, rows), tables, strict=True):
            found.append(table.assign(policy=policy, target=target))

    for policy, router in routers.items():
        for target in routing.shares:
            measure(policy, target, network, router, thresholds.chosen(network, known, router, target))
    for policy in controllers:
        reads, jointly = _LEARNT[policy]
        for target in routing.shares[:-1]:
            routed, controller = learning.learned(
                network, train, config.train.batch_size, config.learning, target, reads=reads, jointly=jointly
            )
            measure(policy, target, routed, controller, torch.zeros(config.seeds))
    return pd.concat(numbers, ignore_index=True), pd.concat(rows, ignore_index=True)


if __name__ == "__main__":
    main()
