"""plot: from tables and checkpoints to figures, as PNG and SVG."""

from pathlib import Path
from typing import Any

import click

from gradflow import artefacts, boundary, dataset, params, theory
from gradflow.figures import activations, decision_boundary, gradient_flow, gradient_heatmap, loss_curves, style
from gradflow.figures.experiment import Experiment


@click.command()
@click.argument("norms", type=click.Path(path_type=Path))
@click.argument("probes", type=click.Path(path_type=Path))
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(
    norms: Path, probes: Path, history: Path, metrics: Path, models: Path, validation: Path, source: Path, figures: Path
) -> None:
    """Draw the tables NORMS, PROBES and HISTORY (CSV), the METRICS (JSON) and the MODELS; write FIGURES.

    VALIDATION (Parquet) holds the points of the decision boundary, SOURCE (JSON) describes the data.
    """
    config = params.load()
    about = artefacts.read_json(source)
    numbers = artefacts.read_json(metrics)
    diverged = {
        name: {entry["seed"]: entry["epoch"] for entry in numbers[name]["diverged"]} for name in config.variants
    }
    experiment = Experiment(
        depth=config.depth,
        seeds=config.seeds,
        epochs=config.train.epochs,
        diverged=diverged,
        caption=_caption(config, about),
    )

    norm_table = artefacts.read_table(norms)
    points, labels = dataset.read(validation)
    extent = boundary.around(points)
    drawn = {
        "gradient_flow": gradient_flow.draw(
            norm_table,
            experiment,
            theory={
                name: theory.weight_gradients(config.train.init, config.depth, config.width)
                for name, variant in config.variants.items()
                if variant.block == "plain"
            },
            vanished_below=config.analysis.vanished_below,
        ),
        "gradient_heatmap": gradient_heatmap.draw(norm_table, experiment),
        "loss_curves": loss_curves.draw(artefacts.read_table(history), experiment),
        "activations": activations.draw(artefacts.read_table(probes), experiment),
        "decision_boundary": decision_boundary.draw(
            {
                name: boundary.probabilities(models / f"{name}.safetensors", extent, 100, without=set(seeds))
                for name, seeds in diverged.items()
            },
            extent,
            points,
            labels,
            tuple(about["classes"]),
            experiment,
        ),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, config.plot.dpi)


def _caption(config: params.Params, about: dict[str, Any]) -> str:
    """Setting and data of the experiment in one sentence."""
    train = config.train
    seeds, epochs = (f"{n} {word}{'s' * (n != 1)}" for n, word in ((config.seeds, "seed"), (train.epochs, "epoch")))
    clip = "no clipping" if train.clip_norm is None else f"gradients clipped at norm {train.clip_norm:g}"
    init = "PyTorch's default" if train.init == "default" else "He"
    where = {
        "sklearn": "two moons made by scikit-learn",
        "hub": f"data set {style.words(str(about['path']), 80)}",
        "file": style.words(str(about["path"]), 80),
    }[about["source"]]
    return (
        f"Depth {config.depth}, width {config.width}, {seeds}, {epochs} of SGD (learning rate {train.lr:g},"
        f" momentum {train.momentum:g}, batches of {train.batch_size}, {clip}), {init} initialisation."
        f" Data: {where}, {about['rows']:,} rows."
    )


if __name__ == "__main__":
    main()
