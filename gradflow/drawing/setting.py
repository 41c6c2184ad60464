"""The experiments of the pipelines as their figures show them: from parameters, metrics and the source of the data."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from gradflow.drawing import inits, style
from gradflow.drawing.experiment import Experiment
from gradflow.recipe import Recipe, Train, Trained
from gradflow.tables import configuration

Words = dict[str, str]  # what is said of a training, by key; see _in_words

_MOST = len(style.COLOURS)  # variants that a caption describes; it is no table
_DIFFERENT = {
    "depth": "depth",
    "widths": "widths",
    "optimizer": "optimiser",
    "lr": "learning rate",
    "momentum": "momentum",
    "clip_norm": "clipping",
    "init": "initialisation",
}
_OPTIMISERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
# Keys that a caption names only where they have another value than the usual one.
_USUAL = {
    "data.seed": 0,
    "split.validation": 0.3,
    "split.seed": 0,
    "train.seed": 0,
    "probe.samples": 512,
    "analysis.learnt_below": 0.35,
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


def of_families(
    config: Recipe,
    metrics: Mapping[str, Any],
    source: Mapping[str, Any],
    families: Mapping[str, Mapping[str, float | str]],
    parameter: str,
) -> Experiment:
    """Variants that differ in one parameter alone, taken together.

    Args:
        config: Their params.yaml.
        metrics: Their metrics.json.
        source: data/raw/source.json.
        families: Name of a family to its variants and their values of the parameter.
        parameter: In which they differ.
    """
    return Experiment(
        depths=dict.fromkeys(families, 0),
        seeds=config.seeds,
        epochs=config.train.epochs,
        diverged={name: {} for name in families},
        caption=_caption(config, source, {name: next(iter(members)) for name, members in families.items()}, parameter),
        diverged_at={
            name: {value: lost for variant, value in members.items() if (lost := len(metrics[variant]["diverged"]))}
            for name, members in families.items()
        },
    )


def _caption(config: Recipe, source: Mapping[str, Any], shown: Mapping[str, str], but: str = "") -> str:
    """Setting and data of the experiment in a few sentences.

    Args:
        config: Parameters.
        source: data/raw/source.json.
        shown: What the figure shows, by name, each a variant.
        but: A parameter of which nothing is to be said.
    """
    train, hidden = config.train, but.rpartition(".")[2]
    seeds, epochs = (f"{n} {word}{'s' * (n != 1)}" for n, word in ((config.seeds, "seed"), (train.epochs, "epoch")))
    said = {
        name: _in_words(configuration.own(config, name), config.variants[name].widths) | {hidden: ""}
        for name in config.variants
    }
    common = _in_words(config) | {hidden: ""}
    if len(shown) > _MOST:
        common, variants = _summarised(config, {name: said[name] for name in shown.values()}, hidden)
    else:
        variants = _listed(config, said, common, shown, hidden)
    where = {
        "sklearn": f"two moons made by scikit-learn with noise {config.data.noise:g}",
        "hub": f"data set {style.words(str(source['path']), 80)}"
        + (f" at revision {style.words(config.data.revision, 80)}" if config.data.revision else ""),
        "file": style.words(str(source["path"]), 80),
    }[source["source"]]
    # A depth that each variant replaces by its own is nobody's.
    shared = [common[key] for key in ("depth", "widths") if any(words[key] == common[key] for words in said.values())]
    first = ", ".join(filter(None, [*shared, seeds, epochs]))
    optimizer = f" of {common['optimizer']}" if common["optimizer"] else ""
    batches = f"batches of {train.batch_size}"
    details = ", ".join(filter(None, [common["lr"], common["momentum"], batches, common["clip_norm"]]))
    return (
        f"{first[0].upper()}{first[1:]}{optimizer} ({details}){f', {start}' if (start := common['init']) else ''}."
        f"{f' {variants}' if variants else ''}"
        f"{_SEEDS[train.order] if config.seeds > 1 else ''}"
        f" Data: {where}, {source['rows']:,} rows."
        f"{f' Not as usual: {unusual}.' if (unusual := _unusual(config)) else ''}"
    )


def _listed(config: Recipe, said: Mapping[str, Words], common: Words, shown: Mapping[str, str], hidden: str) -> str:
    """What each variant has of its own."""
    own = {
        variant: [text for key, text in said[variant].items() if text and text != common[key]]
        for variant in shown.values()
    }
    variants = "; ".join(
        f"{name} with {text}"
        for name, variant in shown.items()
        if (text := ", ".join([*_block(name, config.variants[variant], hidden), *own[variant]]))
    )
    return f"Variants: {variants}." if variants else ""


def _summarised(config: Recipe, said: Mapping[str, Words], hidden: str) -> tuple[Words, str]:
    """What many variants have in common, and in which respects they differ."""
    texts = {key: {words[key] for words in said.values()} for key in next(iter(said.values()))}
    blocks = [_block("", config.variants[name], hidden) for name in said]
    differ = {
        "block": len({block for block, *_ in blocks}) > 1,
        "settings of the block": len({tuple(settings) for _, *settings in blocks}) > 1,
    } | {word: len(texts[key]) > 1 for key, word in _DIFFERENT.items()}
    *most, last = [word for word, does in differ.items() if does] or [""]
    common = {key: own.pop() if len(own) == 1 else "" for key, own in texts.items()}
    return common, f"What differs: {' and '.join(filter(None, [', '.join(most), last]))}; see params.yaml." * bool(last)


def _unusual(config: Recipe) -> str:
    """The keys of :data:`_USUAL` that have another value, with it."""
    values = {key: attrgetter(key)(config) for key in _USUAL}
    return ", ".join(f"{key} {value:g}" for key, value in values.items() if value != _USUAL[key])


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
    said = f" after a warm-up over {100 * train.warmup:g}% of the steps" if train.warmup else ""
    if base := train.transfer:
        said += f", by CompleteP from depth {base.depth} and width {base.width} with exponent {base.exponent:g}"
    return said


def _in_words(config: Recipe, widths: Sequence[int] | None = None) -> Words:
    """What a variant may have of its own, by key; empty where there is nothing to say."""
    train = config.train
    return {
        "depth": f"depth {config.depth}",
        "widths": f"widths {', '.join(map(str, widths))}" if widths else f"width {config.width}",
        "optimizer": f"{_OPTIMISERS[train.optimizer]}{_precision(train)}",
        "lr": f"learning rate {train.lr:g}{_rates(train)}",
        "momentum": f"momentum {train.momentum:g}" if train.optimizer == "sgd" else "",  # the others have their own
        "clip_norm": "no clipping" if train.clip_norm is None else f"gradients clipped at norm {train.clip_norm:g}",
        "init": inits.called(train.init, "initialisation"),
    }
