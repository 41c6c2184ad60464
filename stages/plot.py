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
        depths={name: config.of(name).depth for name in config.variants},
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
                name: theory.weight_gradients(config.of(name).train.init, config.of(name).depth, config.width)
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
    said = {name: _in_words(config.of(name)) for name in config.variants}
    common = _in_words(config)
    own = {
        name: ", ".join(said[name][key] for key in common if said[name][key] != common[key]) for name in config.variants
    }
    exceptions = "; ".join(f"{name}: {text}" for name, text in own.items() if text)
    where = {
        "sklearn": "two moons made by scikit-learn",
        "hub": f"data set {style.words(str(about['path']), 80)}",
        "file": style.words(str(about["path"]), 80),
    }[about["source"]]
    return (
        f"{common['depth'].capitalize()}, width {config.width}, {seeds}, {epochs} of SGD ({common['lr']},"
        f" {common['momentum']}, batches of {train.batch_size}, {common['clip_norm']}), {common['init']}."
        f"{f' Other than that, {exceptions}.' if exceptions else ''}"
        f" Data: {where}, {about['rows']:,} rows."
    )


def _in_words(config: params.Params) -> dict[str, str]:
    """What a variant may have of its own, by key."""
    train = config.train
    return {
        "depth": f"depth {config.depth}",
        "lr": f"learning rate {train.lr:g}",
        "momentum": f"momentum {train.momentum:g}",
        "clip_norm": "no clipping" if train.clip_norm is None else f"gradients clipped at norm {train.clip_norm:g}",
        "init": "He initialisation" if train.init == "he" else "PyTorch's default initialisation",
    }


if __name__ == "__main__":
    main()
