"""A page made of a real run of the pipeline and of the identity study, both small, and a browser to look at it with."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock

from gradflow.drawing.experiment import Experiment
from gradflow.report import page
from gradflow.report.explorer import Trainings
from gradflow.report.lenses import Lenses
from gradflow.report.routing import Routing
from studies.identity import published
from tests import lenses, routing, trainings

IDENTITY = {"depth": 3, "width": 8, "seeds": 2, "train.steps": 6, "train.batch_size": 16, "probe.steps": [2, 4]}

TITLE = "Train loss <of all> variants"


def entry_of_a_claim(number, **changed):
    """An entry of reports/claims.json."""
    entry = {
        "id": f"claim-{number}",
        "chapter": ("The recipe", "The distant identity")[number // 4],
        "claim": f"Claim number {number} is about gradients",
        "source": {"text": ("build recipe", "controlled experiment")[number % 2], "described": "", "arxiv": []},
        "predicted": 1e-6,
        "study": ("root", "identity", "identity")[number % 3],
        "metrics": {"": "plain.val_accuracy"},
        "definition": "weight gradient, last epoch",
        "over": "each seed",
        "test": "each seed: at most 0.001",
        "measured": [
            {"name": "", "entry": f"layer {layer}", "mean": 2e-7, "std": 0.0, "min": 1e-7, "max": 3e-7}
            | {"seeds": 8, "trained": 8}
            for layer in range(1, 1 + (1, 3)[number % 2])
        ],
        "kind": ("holds", "does not hold", "holds only for")[number % 3],
        "verdict": ("holds", "does not hold", "holds only for layers 1-2")[number % 3],
        "figure": "figures/gradient_flow.png",
        "note": None,
    }
    return entry | changed


@pytest.fixture
def claim():
    """Make an entry of reports/claims.json."""
    return entry_of_a_claim


@dataclass(frozen=True)
class Inputs:
    """What the stage reads, in folders of a test's own."""

    root: Path

    def arguments(self, page):
        reports = self.root / "reports"
        identity = [self.root / "studies/identity" / name for name in ("params.yaml", "reports")]
        run = [self.root / "params.yaml", self.root / "data/raw/source.json", reports]
        sections = [self.root / "studies" / of for of in ("routing", "streams")]
        shown = [study / name for study in sections for name in ("params.yaml", "reports")]
        figure = ["--figure", TITLE, self.root / "studies/identity/reports/figures/loss.png"]
        trainings = [reports / f"explorer.{ending}" for ending in ("csv", "json")]
        return [*run, *identity, *shown, *trainings, reports / "claims.json", page, *figure]


@pytest.fixture(scope="session")
def results(shared, finished):
    """A project in which the pipeline and the identity study have run. Not to be changed, only copied."""
    project = type(finished)(shared / "project with studies", finished.env)
    with FileLock(shared / "studies.lock"):
        if not project.root.exists():
            draft = finished.copy(shared / "draft with studies")
            study = type(draft)(draft.root / "studies/identity", draft.env)
            study.change(IDENTITY)
            study.run("dvc", "repro")
            routing.write_tables(draft.root / "studies/routing")
            lenses.write_tables(draft.root / "studies/streams")
            trainings.write_tables(draft.root / "reports")
            claims = [entry_of_a_claim(number) for number in range(7)]
            (draft.root / "reports/claims.json").write_text(json.dumps(claims), encoding="utf-8")
            draft.root.rename(project.root)
    return project


@pytest.fixture
def inputs(results, tmp_path):
    """The results, to be changed."""
    own = Inputs(tmp_path / "results")
    settings = [f"studies/{study}/params.yaml" for study in ("identity", "routing", "streams")]
    for name in ("params.yaml", "data/raw/source.json", *settings):
        (own.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(results.root / name, own.root / name)
    for name in ("reports", *(f"studies/{study}/reports" for study in ("identity", "routing", "streams"))):
        shutil.copytree(results.root / name, own.root / name)
    return own


@pytest.fixture
def make(results, tmp_path):
    """Make the page of some inputs with the stage, as DVC would, and return its path."""

    def run(given, code=0):
        page = tmp_path / "made" / "index.html"
        done = results.run("python", "-m", "studies.ledger.page", *given.arguments(page), code=code)
        return done.stderr if code else page

    return run


@pytest.fixture(scope="session")
def page_file(results):
    """The page of the results, made once."""
    page = results.root / "reports" / "index.html"
    with FileLock(results.root.parent / "page.lock"):
        if not page.exists():
            results.run("python", "-m", "studies.ledger.page", *Inputs(results.root).arguments(page))
    return page


@pytest.fixture
def visit(browser):
    """Open a page that is drawn to its end, says nothing on the console and asks for nothing but itself."""
    pages, said, asked = [], [], []

    def open_page(path, **options):
        opened = browser.new_page(**options)
        pages.append(opened)
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(path.as_uri())
        opened.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        return opened

    yield open_page
    own = {opened.url.split("#")[0] for opened in pages}
    for opened in pages:
        opened.close()
    assert said == []
    assert {url.split("#")[0] for url in asked if not url.startswith("data:")} == own


@pytest.fixture
def hostile_page(inputs, tmp_path):
    """Make the page with a first variant of that name, given to the library: params.yaml would refuse it."""

    def make(name):
        names = {"plain": name}
        reports, of_identity = inputs.root / "reports", inputs.root / "studies/identity/reports"

        def table(path):
            return pd.read_csv(path).replace({"variant": names})

        def numbers(path):
            found = json.loads(path.read_text(encoding="utf-8"))
            return {names.get(variant, variant): value for variant, value in found.items()}

        def experiment(metrics, time):
            return Experiment(
                depths=dict.fromkeys(metrics, 3),
                seeds=2,
                epochs=2,
                diverged={variant: {} for variant in metrics},
                caption="",
                time=time,
            )

        params = yaml.safe_load((inputs.root / "params.yaml").read_text(encoding="utf-8"))
        params["variants"] = {names.get(variant, variant): value for variant, value in params["variants"].items()}
        routed = inputs.root / "studies/routing/reports"
        policies, rows = (pd.read_csv(routed / f"{of}.csv").replace({"moons": name}) for of in ("policies", "rows"))
        streams = inputs.root / "studies/streams"
        tokens, read = (pd.read_csv(streams / f"reports/{of}.csv") for of in ("tokens", "reading"))
        settings = yaml.safe_load((streams / "params.yaml").read_text(encoding="utf-8"))
        metrics, identity = numbers(reports / "metrics.json"), numbers(of_identity / "metrics.json")
        html = page.render(
            page.Run(
                experiment(metrics, "epoch"),
                params,
                metrics,
                *(table(reports / f"{of}.csv") for of in ("gradient_norms", "probe", "history")),
            ),
            page.Identity(
                experiment(identity, "step"),
                params,
                identity,
                *(table(of_identity / f"{of}.csv") for of in ("probe", "history")),
                published.compared(identity, 3),
                published.definitions(identity),
                published.widest(identity),
            ),
            Routing({"depth": 20, "seeds": 2}, {"random": name}, policies, rows),
            Lenses(settings, 0.9, dict.fromkeys(settings["variants"], name), tokens, read),
            Trainings(
                pd.read_csv(reports / "explorer.csv").replace({"study": {"root": name}}),
                {
                    "points": [[]],
                    "runs": [run | {"study": run["study"].replace("root", name)} for run in trainings.RUNS],
                },
            ),
            [page.Drawn(name, name, (of_identity / "figures/loss.png").read_bytes())],
            [
                entry_of_a_claim(
                    0, claim=name, source={"text": name, "described": name, "arxiv": []}, study=name, figure=name
                )
            ],
        )
        path = tmp_path / "hostile.html"
        path.write_text(html, encoding="utf-8")
        return path

    return make
