"""train: one variant of the scaling study, all its seeds together, at one learning rate after the other."""

from functools import partial
from pathlib import Path

import click
import pyarrow as pa

from gradflow.files import parquet
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load, of_stage
from gradflow.training import compiled, device, trainer
from gradflow.training.optimisers import Descent, Transfer
from studies.scaling.params import Params
from studies.scaling.task import Imitation, Teacher, table


@click.command()
@click.argument("variant")
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, logs: Path) -> None:
    """Train VARIANT once for each learning rate; write to LOGS how far its last stream moved, and its loss.

    VARIANT may also be what DVC calls the stage: train@VARIANT. A training takes seconds, so its state is not saved.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    point, train = config.variants[variant], config.train
    where, _ = device.from_environment()
    settings = point.settings()
    transfer = Transfer(point.depth / config.base_depth, 1.0, settings["exponent"]) if point.transfer else None
    settings["scale"] *= config.base_depth ** settings["exponent"]  # (depth / base_depth)^-exponent
    described = {"network": "regression", "block": point.block, "settings": settings, "widths": None}
    make = partial(build, described | {"depth": point.depth, "width": config.width})
    teacher = Teacher(width=config.width, **config.teacher.model_dump())
    found = []
    for log2_lr in train.log2_lrs:
        network = stack(make, seeds=config.seeds, init=train.init, seed=train.seed).to(where)
        task = Imitation(
            teacher,
            network,
            width=config.width,
            epochs=train.steps // config.measure.steps,
            steps=config.measure.steps,
            batch_size=train.batch_size,
            seed=train.seed,
            rows=config.measure.rows,
        )
        step = compiled.fastest(network, task, Descent("adamw", 2.0**log2_lr, transfer=transfer))
        found.append(table(trainer.train(step, task, report=lambda _: None), log2_lr))
    parquet.write(logs / f"{variant}.parquet", pa.concat_tables(found))


if __name__ == "__main__":
    main()
