"""measure: one network, all its seeds, before and after training: answers, gradients, branches, shares over depth."""

from pathlib import Path

import click
import pandas as pd
import pyarrow as pa

from gradflow.files import parquet
from gradflow.moons import training
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from studies.mixing import signals
from studies.mixing.params import Params


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, train: Path, validation: Path, logs: Path) -> None:
    """Measure VARIANT of MODELS on TRAIN rows (gradients) and VALIDATION rows (answers), and write to LOGS.

    VARIANT may also be what DVC calls the stage: measure@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    chosen = config.variants[variant]
    device.from_environment()  # for its threads
    about = training.described(chosen, config.depth, config.width)
    about |= {"mixing": chosen.mixing.chosen() if chosen.mixing else None}
    start, without = (
        training.drawn(each, config.seeds, config.train.seed) for each in (about, about | {"mixing": None})
    )
    network, diverged = training.read(models / f"{variant}.safetensors", about, config.train, config.seeds)
    moments = {"start": start, "end": network}
    points, labels = (part[: config.measure.rows] for part in training.labelled(train))
    passes = {moment: signals.passed(each, points, labels) for moment, each in moments.items()}
    seeds = pd.DataFrame(
        {
            "seed": range(config.seeds),
            "accuracy": signals.accuracy(network, *training.labelled(validation)),
            "logits_gap": signals.gap(start, without, points),
            "numbers": signals.numbers(network),
            **{f"stream_ratio_{moment}": one.stream_ratio for moment, one in passes.items()},
            "stream_ratio_shut": signals.shut(start, points, labels),
            "stream_ratio_shut_predicted": signals.floor(start),
        }
    )
    seeds["diverged"] = seeds["seed"].map(diverged).astype(float)
    seeds.loc[seeds["diverged"].notna(), "stream_ratio_end"] = float("nan")  # of weights that are about to overflow
    tables = {
        "seeds": seeds,
        "layers": _joined({moment: one.layers for moment, one in passes.items()}),
        "shares": _joined({moment: signals.shares(each, points) for moment, each in moments.items()}),
    }
    for name, table in tables.items():
        lost = table["seed"].isin(diverged) & (table["moment"] == "end" if "moment" in table else False)
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(table[~lost], preserve_index=False))


def _joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One table with a column moment."""
    return pd.concat([table.assign(moment=moment) for moment, table in tables.items()], ignore_index=True)


if __name__ == "__main__":
    main()
