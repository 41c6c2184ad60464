"""The experiments of the pipelines as their figures show them: from parameters, metrics and the source of the data."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.recipe import Recipe, Train, Trained
from gradflow.tables import configuration

_OPTIMISERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
_INITS = {
    "default": "PyTorch's default initialisation",
    "he": "He initialisation",
    "he_over_sqrt_depth": "He initialisation over √depth",
    "xavier": "Xavier initialisation",
    "orthogonal": "orthogonal initialisation",
    "gpt2": "GPT-2's initialisation",
}


def of_recipe(config: Recipe, metrics: Mapping[str, Any], source: Mapping[str, Any]) -> Experiment:
    """The trainings on two classes.

    Args:
        config: Their params.yaml.
        metrics: Their metrics.json.
        source: data/raw/source.json.
    """
    return Experiment(
        depths={name: configuration.own(config, name).depth for name in config.variants},
        seeds=config.seeds,
        epochs=config.train.epochs,
        diverged={
            name: {entry["seed"]: entry["epoch"] for entry in metrics[name]["diverged"]} for name in config.variants
        },
        caption=_caption(config, source),
    )


def _caption(config: Recipe, source: Mapping[str, Any]) -> str:
    """Setting and data of the experiment in one sentence."""
    train = config.train
    seeds, epochs = (f"{n} {word}{'s' * (n != 1)}" for n, word in ((config.seeds, "seed"), (train.epochs, "epoch")))
    said = {name: _in_words(configuration.own(config, name), own.widths) for name, own in config.variants.items()}
    common = _in_words(config)
    own = {
        name: ", ".join(text for key, text in said[name].items() if text and text != common[key])
        for name in config.variants
    }
    variants = "; ".join(
        f"{name} with {text}"
        for name, chosen in config.variants.items()
        if (text := ", ".join(filter(None, (_block(name, chosen), own[name]))))
    )
    where = {
        "sklearn": f"two moons made by scikit-learn with noise {config.data.noise:g}",
        "hub": f"data set {style.words(str(source['path']), 80)}",
        "file": style.words(str(source["path"]), 80),
    }[source["source"]]
    return (
        f"{common['depth'].capitalize()}, {common['widths']}, {seeds}, {epochs} of {common['optimizer']}"
        f" ({common['lr']}, {f'{momentum}, ' if (momentum := common['momentum']) else ''}batches of"
        f" {train.batch_size}, {common['clip_norm']}), {common['init']}."
        f"{f' Variants: {variants}.' if variants else ''}"
        f"{' Seeds differ in their initial weights alone.' if config.seeds > 1 else ''}"
        f" Data: {where}, {source['rows']:,} rows."
    )


def _block(name: str, variant: Trained) -> str:
    """The block, where the variant has another name, and the settings that it was given."""
    settings = [
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in variant.settings().items()
        if key in variant.model_fields_set
    ]
    return ", ".join([f"{variant.block} blocks"] * (variant.block != name) + settings)


def _precision(train: Train) -> str:
    """The precision, where it is not the usual one."""
    said = "" if train.precision == "float32" else f" in {train.precision}"
    return f"{said}, loss times {train.loss_scale:g}" if train.loss_scale != 1 else said


def _rates(train: Train) -> str:
    """What becomes of the learning rate on the way and with the depth."""
    said = f" after a warm-up over {train.warmup:.0%} of the steps" if train.warmup else ""
    if base := train.transfer:
        said += f", by CompleteP from depth {base.depth} and width {base.width} with exponent {base.exponent:g}"
    return said


def _in_words(config: Recipe, widths: Sequence[int] | None = None) -> dict[str, str]:
    """What a variant may have of its own, by key; empty where there is nothing to say."""
    train = config.train
    return {
        "depth": f"depth {config.depth}",
        "widths": f"widths {', '.join(map(str, widths))}" if widths else f"width {config.width}",
        "optimizer": f"{_OPTIMISERS[train.optimizer]}{_precision(train)}",
        "lr": f"learning rate {train.lr:g}{_rates(train)}",
        "momentum": f"momentum {train.momentum:g}" if train.optimizer == "sgd" else "",  # the others have their own
        "clip_norm": "no clipping" if train.clip_norm is None else f"gradients clipped at norm {train.clip_norm:g}",
        "init": _INITS[train.init],
    }
