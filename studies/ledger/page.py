"""page: all results on one page that contains everything it needs."""

from collections.abc import Sequence
from pathlib import Path

import click

from gradflow.analysis import gradients
from gradflow.data import dataset
from gradflow.drawing import setting
from gradflow.files import documents
from gradflow.files.writing import write_text
from gradflow.guards.errors import RunError
from gradflow.ledger.evaluated import Evaluated
from gradflow.params import reading
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from gradflow.report import explorer, page, words
from gradflow.report.explorer import Trainings
from gradflow.report.lenses import Lenses
from gradflow.report.routing import Routing
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.identity import published, summary
from studies.identity.figures import setting as identity_setting
from studies.identity.params import Params as Identity
from studies.routing import summary as routing_summary
from studies.routing.params import Params as RoutingParams
from studies.streams import summary as streams_summary
from studies.streams.params import Params as Streams


@click.command()
@click.argument("settings", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.argument("study_settings", type=click.Path(path_type=Path))
@click.argument("study", type=click.Path(path_type=Path))
@click.argument("routing_settings", type=click.Path(path_type=Path))
@click.argument("routing", type=click.Path(path_type=Path))
@click.argument("streams_settings", type=click.Path(path_type=Path))
@click.argument("streams", type=click.Path(path_type=Path))
@click.argument("measured", metavar="TRAININGS", type=click.Path(path_type=Path))
@click.argument("facts", type=click.Path(path_type=Path))
@click.argument("ledger", type=click.Path(path_type=Path))
@click.argument("written", type=click.Path(path_type=Path))
@click.option("--figure", "figures", type=(str, click.Path(path_type=Path)), multiple=True, help="Title and PNG.")
def main(
    settings: Path,
    source: Path,
    results: Path,
    study_settings: Path,
    study: Path,
    routing_settings: Path,
    routing: Path,
    streams_settings: Path,
    streams: Path,
    measured: Path,
    facts: Path,
    ledger: Path,
    written: Path,
    figures: Sequence[tuple[str, Path]],
) -> None:
    """Write the page WRITTEN.

    SETTINGS is the params.yaml of the run whose tables are in RESULTS, SOURCE (JSON) describes its data;
    STUDY_SETTINGS and STUDY are those of the distant identity, ROUTING_SETTINGS and ROUTING those of routing,
    STREAMS_SETTINGS and STREAMS those of streams. TRAININGS (CSV) and FACTS (JSON) are those of all studies of the same
    networks. LEDGER holds the evaluated claims (JSON).
    The figures lie in reports/figures of their studies.
    """
    drawn = [path for _, path in figures]
    of_identity = [study / name for name in ("history.csv", "probe.csv", "metrics.json")]
    of_routing = [routing / name for name in ("policies.csv", "rows.csv")]
    of_streams = [streams / name for name in ("tokens.csv", "reading.csv", "metrics.json")]
    for path in (*of_identity, *of_routing, *of_streams, measured, facts, ledger, *drawn):
        if not path.exists():
            raise RunError(f"{path}: missing; run `make studies`, which makes all that the page shows")
    html = page.render(
        _run(settings, source, results),
        _identity(study_settings, study),
        _routing(routing_settings, routing),
        _lenses(streams_settings, streams),
        Trainings(read_table(measured, explorer.COLUMNS), documents.read(facts, explorer.Facts)),
        [page.Drawn(title, path.resolve().parents[2].name, path.read_bytes()) for title, path in figures],
        documents.read(ledger, list[Evaluated]),
    )
    write_text(written, html)


def _run(settings: Path, source: Path, results: Path) -> page.Run:
    config = load(Recipe, settings)
    metrics = documents.read_by_variant(results / "metrics.json", gradients.Summary, config.variants)
    names = ("gradient_norms", "probe", "history")
    norms, probes, history = (
        read_table(results / f"{name}.csv", holds) for name, holds in zip(names, gradients.tables(config), strict=True)
    )
    experiment = setting.of_recipe(config, metrics, documents.read(source, dataset.Source))
    return page.Run(experiment, reading.read(settings), metrics, gradients.by_layer(norms), probes, history)


def _identity(settings: Path, study: Path) -> page.Identity:
    config = load(Identity, settings)
    metrics = documents.read_by_variant(study / "metrics.json", summary.Summary, config.variants)
    history, probe = summary.tables(config)
    return page.Identity(
        identity_setting.experiment(config, metrics),
        reading.read(settings),
        metrics,
        read_table(study / "probe.csv", by_variant(probe, config.variants)),
        read_table(study / "history.csv", by_variant(history, config.variants)),
        published.compared(metrics, config.depth),
        published.definitions(metrics),
        published.widest(metrics),
    )


def _routing(settings: Path, study: Path) -> Routing:
    config = load(RoutingParams, settings)
    columns = routing_summary.tables(config)
    policies, rows = (
        read_table(study / f"{name}.csv", by_variant(columns[name], config.variants)) for name in ("policies", "rows")
    )
    return Routing(reading.read(settings), routing_summary.POLICIES, policies, rows)


def _lenses(settings: Path, study: Path) -> Lenses:
    config = load(Streams, settings)
    columns = streams_summary.joined(config)
    tokens, read = (read_table(study / f"{name}.csv", columns[name]) for name in ("tokens", "reading"))
    learnt = streams_summary.have_learnt(config, study / "metrics.json")
    names = {
        name: f"{name}: {'skip' if chosen.skip else 'no skip'}, {words.count(config.layers(name), 'layer')},"
        f" {f'{chosen.placement}-norm' if chosen.placement != 'none' else 'no norm'}"
        for name, chosen in config.variants.items()
        if name in learnt
    }
    return Lenses(reading.read(settings), streams_summary.LEARNT, names, tokens, read)


if __name__ == "__main__":
    main()
