"""The experiments of the pipelines as their figures show them: from parameters, metrics and the source of the data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradflow import params
from gradflow.figures import style
from gradflow.figures.experiment import Experiment

if TYPE_CHECKING:  # the figures of one study do not depend on what stands in another's params.yaml
    from gradflow import studies


def of_recipe(config: params.Params, metrics: Mapping[str, Any], source: Mapping[str, Any]) -> Experiment:
    """The trainings on two classes.

    Args:
        config: Their params.yaml.
        metrics: Their metrics.json.
        source: data/raw/source.json.
    """
    return Experiment(
        depths={name: config.of(name).depth for name in config.variants},
        seeds=config.seeds,
        epochs=config.train.epochs,
        diverged={
            name: {entry["seed"]: entry["epoch"] for entry in metrics[name]["diverged"]} for name in config.variants
        },
        caption=_caption(config, source),
    )


def of_identity(config: "studies.Identity", metrics: Mapping[str, Any]) -> Experiment:
    """The distant identity; an epoch is a step. For the arguments see :func:`of_recipe`."""
    train = config.train
    return Experiment(
        depths=dict.fromkeys(config.variants, config.depth),
        seeds=config.seeds,
        epochs=train.steps,
        diverged={
            name: {entry["seed"]: entry["step"] for entry in metrics[name]["diverged"]} for name in config.variants
        },
        caption=(
            f"Y = X for X from U(-1, 1): {config.depth} square blocks of width {config.width}, {config.seeds}"
            f" seed{'s' * (config.seeds != 1)}, {train.steps:,} steps of Adam (learning rate {train.lr:g}, batches of"
            f" {train.batch_size})."
        ),
        time="step",
    )


def _caption(config: params.Params, source: Mapping[str, Any]) -> str:
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
        "hub": f"data set {style.words(str(source['path']), 80)}",
        "file": style.words(str(source["path"]), 80),
    }[source["source"]]
    return (
        f"{common['depth'].capitalize()}, width {config.width}, {seeds}, {epochs} of SGD ({common['lr']},"
        f" {common['momentum']}, batches of {train.batch_size}, {common['clip_norm']}), {common['init']}."
        f"{f' Other than that, {exceptions}.' if exceptions else ''}"
        f" Data: {where}, {source['rows']:,} rows."
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
