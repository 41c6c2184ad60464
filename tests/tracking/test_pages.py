"""`make ui` in a real browser: two experiments in the list, compared, with their table and their figure."""

import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own


@pytest.fixture(scope="module")
def ui(tracked, serve, free_port, tmp_path_factory):
    """What `make ui` starts in the project, with the environment as it is instead of one set up anew."""
    port = free_port()
    command = ["make", "--silent", "--directory", tracked.root, "--old-file=setup", "ui", f"PORT={port}"]
    with serve(tmp_path_factory.mktemp("ui"), command=command, port=port, **tracked.env) as server:
        yield server
        server.kill(signal.SIGINT)  # Ctrl-C
        assert "Traceback" not in (server.folder / "log").read_text(encoding="utf-8")
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)), "still serving"


@pytest.fixture
def page(browser, ui):
    """A page that remembers nothing of others, and must ask nobody but the server."""
    page = browser.new_page(viewport={"width": 1600, "height": 1200})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    yield page
    page.close()
    assert not [url for url in asked if not url.startswith((ui.url, "data:", "blob:"))]


@contextmanager
def screenshot(page, folder):
    """Keep what was seen, above all when it was not what was expected."""
    try:
        yield
    finally:
        page.screenshot(path=folder / "seen.png")


def row(page, run):
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=run, exact=True))


def test_the_address_is_printed(ui):
    assert f"on {ui.url} " in (ui.folder / "log").read_text(encoding="utf-8")


def test_other_machines_cannot_reach_the_pages_and_no_process_shows_the_database(ui, reachable):
    assert reachable(ui.port) == {"127.0.0.1"}
    shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.exists()]
    assert any(str(ui.port).encode() in command for command in shown)
    assert not [command for command in shown if b"sqlite://" in command and str(ui.port).encode() in command]


def test_two_experiments_are_listed_and_compared_in_their_parameters_and_layer_curves(ui, page, tmp_path):
    with screenshot(page, tmp_path):
        page.goto(f"{ui.url}/#/experiments/1/runs")
        for experiment in ("depth-4", "depth-8"):
            row(page, experiment).get_by_role("button").first.click()  # its nested runs
        for run in ("depth-4 residual", "depth-8 residual"):
            row(page, run).get_by_label("row selection").check()
        page.get_by_text("Compare", exact=True).click()
        expect(page.get_by_text("Comparing 2 Runs")).to_be_visible()

        page.get_by_role("switch", name="Parameters - Show diff only").click()
        differing = page.get_by_role("row").filter(has=page.get_by_text("depth", exact=True))
        expect(differing).to_have_text(["depth48"])
        expect(page.get_by_text("train.lr", exact=True)).to_have_count(0)
        page.screenshot(path=tmp_path / "compared.png")

        page.get_by_role("link", name="curves/log10_grad_norm_first_block", exact=True).click()
        for run in ("depth-4 residual", "depth-8 residual"):
            expect(page.get_by_text(f"{run} (curves/log10_grad_norm_first_block)")).to_be_visible()
        page.wait_for_function(DIFFERENT_LINES)


# Two runs may get the same colour, hardly the same norms.
DIFFERENT_LINES = """() => {
    const lines = document.querySelectorAll(".scatterlayer path.js-line");
    return new Set([...lines].map(line => line.getAttribute("d"))).size >= 2;
}"""


def test_the_page_of_charts_begins_with_five_curves(ui, page, look, tracked, tmp_path):
    run = look(tracked.root).children["depth-8 residual"].info.run_id
    with screenshot(page, tmp_path):
        page.goto(f"{ui.url}/#/experiments/1/runs/{run}/model-metrics")
        expect(page.get_by_text("log10_grad_norm_first_block").first).to_be_visible()
        names = ["log10_grad_norm_first_block", "log10_grad_norm_last_block", "train_loss", "val_accuracy", "val_loss"]
        for place, name in enumerate(names):
            expect(page.get_by_role("heading", level=4).nth(place)).to_have_text(name)


def test_the_norms_by_layer_are_a_small_table(ui, page, look, tracked, tmp_path):
    run = look(tracked.root).children["depth-8 residual"].info.run_id
    with screenshot(page, tmp_path):
        page.goto(f"{ui.url}/#/experiments/1/runs/{run}/artifacts/gradient_norms_by_layer.json")
        expect(page.get_by_text("block 8", exact=True)).to_be_visible()


def test_the_table_is_shown_as_one_and_the_figure_as_a_picture(ui, page, look, tracked, tmp_path):
    run = look(tracked.root).parents["depth-8"].info.run_id
    with screenshot(page, tmp_path):
        page.goto(f"{ui.url}/#/experiments/1/runs/{run}/artifacts")
        page.get_by_text("gradient_norms.csv", exact=True).click()
        header = ["variant", "seed", "epoch", "layer", "name", "grad_norm", "grad_norm_min", "grad_norm_max"]
        expect(page.get_by_role("columnheader")).to_have_text(header)
        page.screenshot(path=tmp_path / "table.png")

        page.get_by_text("figures", exact=True).click()
        page.get_by_text("gradient_flow.png", exact=True).click()
        picture = page.get_by_role("img", name="figures/gradient_flow.png")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 100
