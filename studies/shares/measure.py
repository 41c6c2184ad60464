"""measure: one network, all its seeds, before and after training, run at each share."""

from pathlib import Path

import click
import pandas as pd
import pyarrow as pa

from gradflow.files import parquet
from gradflow.moons import training
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from studies.shares import runs
from studies.shares.params import Params


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, validation: Path, logs: Path) -> None:
    """Measure VARIANT of MODELS on VALIDATION rows, and write to LOGS.

    VARIANT may also be what DVC calls the stage: measure@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen = config.variants[variant]
    device.from_environment()  # for its threads
    about = training.described(chosen, config.depth, config.width)
    about |= chosen.trained()
    network, diverged = training.read(models / f"{variant}.safetensors", about, config.train, config.seeds)
    moments = {"start": training.drawn(about, config.seeds, config.train.seed), "end": network}
    rows = training.labelled(validation)
    found = [
        runs.run(each, *rows, share, weight, chosen.init, config.measure.seed).assign(
            moment=moment, share=share, kept=kept
        )
        for moment, each in moments.items()
        for share in config.measure.shares
        for kept, weight in (("weight", chosen.weight), ("mean", chosen.share * chosen.weight / share))
    ]
    table = pd.concat(found)
    lost = table["seed"].isin(diverged) & (table["moment"] == "end")
    seeds = pd.DataFrame({"seed": range(config.seeds)})
    seeds["diverged"] = seeds["seed"].map(diverged).astype(float)
    for name, own in (("seeds", seeds), ("runs", table[~lost])):
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(own, preserve_index=False))


if __name__ == "__main__":
    main()
