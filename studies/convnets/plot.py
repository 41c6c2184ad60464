"""plot: from the tables of the study of convolutional networks to its figures, as PNG and SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import inits, style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.convnets import summary
from studies.convnets.denoise import summary as of_denoise
from studies.convnets.figures import costs, degradation, denoised
from studies.convnets.params import Params, Trained

_DPI = 150
_NORMS = {True: "with batch norm", False: "without batch norm"}


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS into the folder FIGURES."""
    config = load(Params)
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, config.variants))
        for name, columns in summary.tables(config).items()
    }
    ends = by_seed(**found)
    style.save(by_depth(config, ends), figures / "degradation", _DPI)
    style.save(by_cost(config, ends), figures / "costs", _DPI)
    denoise = {
        name: read_table(reports / f"denoise_{name}.csv", by_variant(columns, config.denoise.variants))
        for name, columns in of_denoise.tables(config.denoise).items()
    }
    style.save(of_denoising(config, **denoise), figures / "denoised", _DPI)


def by_seed(seeds: pd.DataFrame, history: pd.DataFrame, gradients: pd.DataFrame) -> pd.DataFrame:
    """What networks were before training and reached in it.

    Returns:
        The rows of seeds.csv with columns train_loss and val_accuracy, of the last epoch, nan of a seed that diverged;
        and gradient_ratio, the largest over the smallest norm of a layer's gradient before training, nan where
        that is 0 or infinite.
    """
    keys = ["variant", "seed"]
    last = history.sort_values("epoch").groupby(keys)[["train_loss", "val_accuracy"]].last()
    norms = gradients.groupby(keys)["grad_norm"]
    ratios = summary.ratios(norms.max(), norms.min()).rename("gradient_ratio")
    ends = seeds.join(last, on=keys).join(ratios, on=keys)
    ends.loc[ends["diverged"].notna(), ["train_loss", "val_accuracy"]] = float("nan")
    return ends


def by_depth(config: Params, ends: pd.DataFrame) -> Figure:
    """The figure on depth, whose variants are kinds of networks, each of several depths."""
    names = config.plot.by_depth
    kinds = of_kinds(config, names)
    shown = ends[ends["variant"].isin(names)]
    normed = {name: config.variants[name].batch_norm for name in names}
    panels = {have: _panel(next(config.variants[n] for n in names if normed[n] == have)) for have in normed.values()}
    shown = shown.assign(
        panel=shown["variant"].map({name: panels[normed[name]] for name in names}),
        layers=shown["variant"].map({name: config.layers(name) for name in names}),
        variant=shown["variant"].map(kinds),
    )
    where = {name: f"{config.layers(name)} layers {_NORMS[normed[name]]}" for name in names}
    return degradation.draw(shown, list(panels.values()), experiment(config, ends, kinds, where))


def _panel(first: Trained) -> str:
    """Batch norm or none, and what networks like the first one of a panel have in common."""
    clipped = "unclipped" if first.clip_norm is None else f"clipped at norm {first.clip_norm:g}"
    return f"{_NORMS[first.batch_norm]} ({clipped}, padding {first.padding})"


def by_cost(config: Params, ends: pd.DataFrame) -> Figure:
    """The figure on costs, whose variants are networks, each with what it is in words."""
    named = {}
    for name in config.plot.costs:
        chosen = config.variants[name]
        channels = "/".join(map(str, chosen.widths))
        named[name] = f"{name}: {chosen.block}, channels {channels}, shortcut {chosen.shortcut}"
    shown = ends[ends["variant"].isin(named)].dropna(subset="train_loss")
    return costs.draw(shown.assign(variant=shown["variant"].map(named)), experiment(config, ends, named, {}))


def of_kinds(config: Params, names: Sequence[str]) -> dict[str, str]:
    """What each of some variants is, in words, but for depth and batch norm: plain or residual, and what else differs.

    What differs is told from the first variant that also has batch norm, or has none.
    """
    first = {config.variants[name].batch_norm: config.variants[name] for name in reversed(names)}
    found = {}
    for name in names:
        chosen = config.variants[name]
        usual = first[chosen.batch_norm].model_dump()
        said = ["residual" if chosen.skip else "plain"]
        for key, value in chosen.model_dump(exclude={"skip", "batch_norm", "depth_over"}).items():
            if value == usual[key] or (key == "shortcut" and not chosen.skip):
                continue
            said.append("unclipped" if (key, value) == ("clip_norm", None) else f"{key} {value}")
        found[name] = ", ".join(said)
    return found


def experiment(config: Params, ends: pd.DataFrame, kinds: Mapping[str, str], where: Mapping[str, str]) -> Experiment:
    """Which seeds were lost, and the setting in words.

    Args:
        config: Parameters.
        ends: From :func:`by_seed`.
        kinds: Variants that are shown, each with its name in the figure.
        where: For variants that share a name, what tells them apart.
    """
    train = config.train
    diverged: dict[str, dict[int, int]] = {kind: {} for kind in kinds.values()}
    at: dict[str, dict[float | str, int]] = {}
    for name, kind in kinds.items():
        lost = ends[(ends["variant"] == name) & ends["diverged"].notna()]
        own = {int(seed): int(epoch) for seed, epoch in lost[["seed", "diverged"]].to_numpy()}
        diverged[kind] |= own
        if own and name in where:
            at.setdefault(kind, {})[where[name]] = len(own)
    return Experiment(
        depths=dict.fromkeys(diverged, config.depth),
        seeds=config.seeds,
        epochs=train.epochs,
        diverged=diverged,
        diverged_at=at,
        caption=(
            f"Convolutional networks on scikit-learn's digits, {config.digits.validation:.0%} of the images for"
            f" validation: {config.seeds} seed{'s' * (config.seeds != 1)}, {train.epochs} epochs of SGD, learning rate"
            f" {train.lr:g}, momentum {train.momentum:g}, batches of {train.batch_size},"
            f" {inits.called(train.init, 'initialisation')}."
        ),
    )


def of_denoising(config: Params, history: pd.DataFrame, starts: pd.DataFrame, images: pd.DataFrame) -> Figure:
    """The figure on denoising, whose variants are U-Nets with and without long skips."""
    chosen, train = config.denoise, config.denoise.train
    kinds = {name: "long skips" if own.long_skips else "zeros instead" for name, own in chosen.variants.items()}
    noises = {name: own.noise for name, own in chosen.variants.items()}
    diverged: dict[str, dict[int, int]] = {kind: {} for kind in kinds.values()}
    at: dict[str, dict[float | str, int]] = {}
    for name, kind in kinds.items():
        looks = history[history["variant"] == name].groupby("seed")["step"].max()
        last = looks.reindex(range(chosen.seeds), fill_value=0)
        own = {seed: int(last[seed]) + train.every for seed in range(chosen.seeds) if last[seed] < train.steps}
        diverged[kind] |= own
        if own:
            at.setdefault(kind, {})[f"noise {noises[name]:g}"] = len(own)
    history, starts, images = (
        table.assign(noise=table["variant"].map(noises), variant=table["variant"].map(kinds))
        for table in (history, starts, images)
    )
    weights = [inits.called(start, "weights") for start in chosen.measure.starts]
    setting = Experiment(
        depths=dict.fromkeys(kinds.values(), len(chosen.widths)),
        seeds=chosen.seeds,
        epochs=1,
        diverged=diverged,
        diverged_at=at,
        caption=(
            f"U-Nets with {', '.join(map(str, chosen.widths))} channels from end to end, {chosen.seeds}"
            f" seed{'s' * (chosen.seeds != 1)}, {train.steps} steps of Adam, learning rate {train.lr:g}, batches of"
            f" {train.batch_size}, {inits.called(train.init, 'weights')}. Gradients before training: at noise"
            f" {starts['noise'].min():g}, from {' and '.join(weights)}."
        ),
    )
    ends, first = history[history["step"] == train.steps], starts[starts["noise"] == starts["noise"].min()]
    noisy = history.groupby("noise")["noisy"].first().reindex(sorted(set(noises.values())))
    return denoised.draw(images, ends, noisy, first, setting)


if __name__ == "__main__":
    main()
