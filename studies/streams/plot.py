"""plot: from the tables of the study of streams to its figures, as PNG and SVG."""

from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from gradflow.drawing import inits, style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from studies.streams import summary
from studies.streams.figures import layers, patches, reading, starts, tokens, training, twin
from studies.streams.params import Params, Trained
from studies.streams.twin import setting

_DPI = 150
_MOST = 4  # panels of a network each


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS, of networks that its metrics.json chooses, into the folder FIGURES."""
    config = load(Params)
    found = {name: read_table(reports / f"{name}.csv", columns) for name, columns in summary.joined(config).items()}
    lost, first = diverged(config, found["history"]), next(iter(config.variants.values()))
    alike = [name for name, chosen in config.variants.items() if not chosen.skip or _start(chosen) == _start(first)]
    able = summary.have_learnt(config, reports / "metrics.json")
    learnt = [name for name in alike if name in able] or alike[:1]
    without = [name for name in learnt if not config.variants[name].skip]
    shown = sorted(list(dict.fromkeys([*without[-2:], *learnt]))[:_MOST], key=list(config.variants).index)
    for name in ("streams", "reading"):
        depths = found[name]["variant"].map(lambda variant: 2 * config.layers(variant))
        found[name] = found[name].assign(passed=found[name]["layer"] / depths)
    found["streams"] = relative(found["streams"])

    def of(name: str, variants: list[str]) -> pd.DataFrame:
        return found[name][found[name]["variant"].isin(variants)]

    source = config.sequences.positions - config.sequences.longest
    drawn = {
        "training": training.draw(*by_kind(config, found["history"], lost)),
        "layers": layers.draw(of("streams", alike), experiment(config, alike, lost)),
        "starts": starts.draw(*by_start(config, found["streams"], lost)),
        "reading": reading.draw(of("reading", learnt), experiment(config, learnt, lost)),
        "patches": patches.draw(of("patches", shown), source, experiment(config, shown, lost)),
        "tokens": tokens.draw(of("tokens", shown), experiment(config, shown, lost)),
        "twin": twin.draw(*setting.read(config.twin, reports)),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


def relative(streams: pd.DataFrame) -> pd.DataFrame:
    """The same table with each gradient over that of the network's last stream; nan where that is 0."""
    table = streams.sort_values("layer", kind="stable")
    last = table.groupby(["variant", "seed", "moment"])["gradient"].transform("last")
    return table.assign(gradient=table["gradient"] / last.where(last > 0)).sort_index()


def diverged(config: Params, history: pd.DataFrame) -> dict[str, dict[int, int]]:
    """Variant to its seeds whose history ends early, with the step up to which it goes."""
    last = history.groupby(["variant", "seed"])["epoch"].max() * config.train.every
    steps = {name: chosen.steps // config.train.every * config.train.every for name, chosen in config.variants.items()}
    return {
        name: {
            seed: int(last.get((name, seed), 0))
            for seed in range(config.seeds)
            if last.get((name, seed), 0) < steps[name]
        }
        for name in config.variants
    }


def _start(chosen: Trained) -> tuple[str, float, int]:
    """What networks must share for their layers to be compared in one figure."""
    return chosen.init, chosen.lr, chosen.warmup


def experiment(config: Params, variants: list[str], lost: dict[str, dict[int, int]]) -> Experiment:
    """The setting of figures that show these variants."""
    about, train = config.sequences, config.train
    clipped = "unclipped" if train.clip_norm is None else f"clipped at norm {train.clip_norm:g}"
    return Experiment(
        depths={name: 2 * config.layers(name) for name in variants},
        seeds=config.seeds,
        epochs=1,
        diverged={name: lost[name] for name in variants},
        time="step",
        caption=(
            f"Decoders of {config.depth} layers of width {config.width} with {config.heads} heads, unless said"
            f" otherwise: {config.seeds} seed{'s' * (config.seeds != 1)}, AdamW, batches of {train.batch_size} fresh"
            f" sequences, {clipped}. A block of {about.shortest} to {about.longest} of {about.tokens} tokens is"
            f" repeated to {about.positions}; from its second copy on the next token can be told."
        ),
    )


def by_kind(config: Params, history: pd.DataFrame, lost: dict[str, dict[int, int]]) -> tuple[pd.DataFrame, Experiment]:
    """The history with a panel for each start, rate and depth, and the kinds of networks that are compared in it."""
    kinds, titles = {}, {}
    for name, chosen in config.variants.items():
        deep = f"{config.layers(name)} layer{'s' * (config.layers(name) != 1)}"
        kinds[name] = ", ".join(
            [_placed(chosen)]
            + [f"no skip, {deep}"] * (not chosen.skip)
            + [f"warm-up {chosen.warmup}"] * bool(chosen.warmup)
            + [f"scale {chosen.scale:g}"] * (chosen.scale != 1)
        )
        titles[name] = (
            f"{inits.called(chosen.init, 'weights')}, rate {chosen.lr:g}, {deep if chosen.skip else 'no skip'}"
        )
        if (titles[name], kinds[name]) in {(titles[other], kinds[other]) for other in list(kinds)[:-1]}:
            kinds[name] += f" ({name})"  # the same but for its length, or where few layers leave no half
    table = history.assign(panel=history["variant"].map(titles), step=history["epoch"] * config.train.every)
    return table.assign(variant=table["variant"].map(kinds)), _of_kinds(config, kinds, titles, lost)


def by_start(config: Params, streams: pd.DataFrame, lost: dict[str, dict[int, int]]) -> tuple[pd.DataFrame, Experiment]:
    """The streams with a panel for each place of the norms, and the starts that are compared in it.

    The networks are those like the first one but for the place of their norms, their start and the number of their
    steps, the first of each place and start. Places with a single start are left out unless all have only one.
    """
    first = next(iter(config.variants.values()))
    found: dict[tuple[str, str], str] = {}
    for name, chosen in config.variants.items():
        if _others(chosen) == _others(first):
            weights = f"{inits.called(chosen.init, 'weights')}{f', scale {chosen.scale:g}' * (chosen.scale != 1)}"
            found.setdefault((_placed(chosen), weights), name)
    panels = [panel for panel, _ in found]
    several = [panel for panel in panels if panels.count(panel) > 1] or panels
    titles = {name: panel for (panel, _), name in found.items() if panel in several}
    kinds = {name: weights for (_, weights), name in found.items() if name in titles}
    table = streams[streams["variant"].isin(titles)]
    table = table.assign(panel=table["variant"].map(titles), variant=table["variant"].map(kinds))
    return table, _of_kinds(config, kinds, titles, lost)


def _placed(chosen: Trained) -> str:
    return f"{chosen.placement}-norm" if chosen.placement != "none" else "no norm"


def _others(chosen: Trained) -> dict[str, object]:
    """What networks must share for their starts to be compared in one figure."""
    return chosen.model_dump(exclude={"placement", "init", "scale", "steps"})


def _of_kinds(
    config: Params, kinds: dict[str, str], titles: dict[str, str], lost: dict[str, dict[int, int]]
) -> Experiment:
    """The setting of figures whose lines are kinds of networks, each in several panels.

    Args:
        config: Parameters.
        kinds: The variants that are shown, each with its kind.
        titles: Likewise, with the title of its panel.
        lost: From :func:`diverged`.
    """
    of_kinds: dict[str, dict[int, int]] = {kind: {} for kind in kinds.values()}
    at: dict[str, dict[float | str, int]] = {kind: {} for kind in kinds.values()}
    for name, kind in kinds.items():
        if seeds := lost[name]:
            of_kinds[kind] |= seeds
            at[kind][titles[name]] = len(seeds)
    shared = experiment(config, list(kinds), lost)
    return replace(shared, depths=dict.fromkeys(of_kinds, 2 * config.depth), diverged=of_kinds, diverged_at=at)


if __name__ == "__main__":
    main()
