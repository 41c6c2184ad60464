"""The experiments of the pipelines as their figures show them: from parameters, metrics and the source of the data."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.recipe import Recipe, Train, Trained
from gradflow.tables import configuration

_MOST = 14  # variants that a caption describes; it is no table
_OPTIMISERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
_INITS = {
    "default": "PyTorch's default initialisation",
    "he": "He initialisation",
    "he_over_sqrt_depth": "He initialisation over √depth",
    "xavier": "Xavier initialisation",
    "orthogonal": "orthogonal initialisation",
    "gpt2": "GPT-2's initialisation",
}
_SEEDS = {
    "shared": " Seeds differ in their initial weights alone.",
    "own": " Seeds differ in their initial weights and in the order of their batches.",
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
        caption=_caption(config, source, {name: name for name in config.variants}),
    )


def of_families(config: Recipe, source: Mapping[str, Any], families: Mapping[str, str], parameter: str) -> Experiment:
    """Variants that differ in one parameter alone, taken together.

    Args:
        config: Their params.yaml.
        source: data/raw/source.json.
        families: Name of a family to one of its variants.
        parameter: In which the others differ.
    """
    lost: dict[str, dict[int, int]] = {name: {} for name in families}
    caption = _caption(config, source, families, parameter)
    return Experiment(dict.fromkeys(families, 0), config.seeds, config.train.epochs, lost, caption)


def _caption(config: Recipe, source: Mapping[str, Any], shown: Mapping[str, str], but: str = "") -> str:
    """Setting and data of the experiment in one sentence.

    Args:
        config: Parameters.
        source: data/raw/source.json.
        shown: What the figure shows, by name, each a variant.
        but: A parameter of which nothing is to be said.
    """
    train, hidden = config.train, but.rpartition(".")[2]
    seeds, epochs = (f"{n} {word}{'s' * (n != 1)}" for n, word in ((config.seeds, "seed"), (train.epochs, "epoch")))
    said = {name: _in_words(configuration.own(config, name), own.widths) for name, own in config.variants.items()}
    common = _in_words(config)
    own = {
        name: [text for key, text in said[name].items() if text and text != common[key] and key != hidden]
        for name in config.variants
    }
    variants = "; ".join(
        f"{name} with {text}"
        for name, variant in shown.items()
        if (text := ", ".join([*_block(name, config.variants[variant], hidden), *own[variant]]))
    )
    if len(shown) > _MOST:
        variants = f"{len(shown)} of them, as params.yaml says"
    where = {
        "sklearn": f"two moons made by scikit-learn with noise {config.data.noise:g}",
        "hub": f"data set {style.words(str(source['path']), 80)}",
        "file": style.words(str(source["path"]), 80),
    }[source["source"]]
    # A depth that each variant replaces by its own is nobody's.
    shared = [
        common[key]
        for key in ("depth", "widths")
        if key != hidden and any(words[key] == common[key] for words in said.values())
    ]
    first = ", ".join([*shared, seeds, epochs])
    return (
        f"{first[0].upper()}{first[1:]} of {common['optimizer']}"
        f" ({common['lr']}, {f'{momentum}, ' if (momentum := common['momentum']) else ''}batches of"
        f" {train.batch_size}, {common['clip_norm']}), {common['init']}."
        f"{f' Variants: {variants}.' if variants else ''}"
        f"{_SEEDS[train.order] if config.seeds > 1 else ''}"
        f" Data: {where}, {source['rows']:,} rows."
    )


def _block(name: str, variant: Trained, hidden: str) -> list[str]:
    """The block, where the variant has another name, and the settings that it was given."""
    settings = [
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in variant.settings().items()
        if key in variant.model_fields_set and key != hidden
    ]
    return [f"{variant.block} blocks"] * (variant.block != name) + settings


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
