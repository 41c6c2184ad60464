"""measure: one trained network, all its seeds, on shifted rows; its gates; its gradients before and after training."""

from pathlib import Path

import click
import pyarrow as pa

from gradflow.files import parquet
from gradflow.moons import training
from gradflow.params.loading import load, of_stage
from gradflow.tables.artefacts import read_table
from gradflow.training import device
from studies.gates import off_manifold, signals
from studies.gates.params import Params


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("shifts", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, train: Path, shifts: Path, logs: Path) -> None:
    """Measure VARIANT of MODELS on TRAIN rows (gradients) and SHIFTS, and write to LOGS.

    VARIANT may also be what DVC calls the stage: measure@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    device.from_environment()  # for its threads
    about = training.described(config.variants[variant], config.depth, config.width)
    start = training.drawn(about, config.seeds, config.train.seed)
    network, diverged = training.read(models / f"{variant}.safetensors", about, config.train, config.seeds)
    moments = {"start": start, "end": network}
    rows = read_table(shifts, off_manifold.columns(config))
    seeds = signals.gradients(moments, about, training.labelled(train), config.measure.rows)
    seeds["diverged"] = seeds["seed"].map(diverged).astype(float)
    far = rows[rows["shift"].str.startswith("box")]
    tables = {
        "seeds": seeds.merge(off_manifold.ranks(moments, far), on="seed"),
        "shifts": off_manifold.answers(network, rows),
        "norms": off_manifold.norms(network, rows),
        "plane": off_manifold.plane(moments, max(config.shifts.box)),
    }
    for name, table in tables.items():
        kept = table if name == "seeds" else table[~table["seed"].isin(diverged)]
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(kept, preserve_index=False))


if __name__ == "__main__":
    main()
