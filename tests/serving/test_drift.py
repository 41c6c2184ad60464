"""The watch over inputs: rows unlike those of the training are noticed within 500, rows like them are not."""

import re

import numpy as np
import pytest

ROWS = 500


def rotated(points):
    """By 90 degrees about the origin."""
    return points @ np.array([[0, 1], [-1, 0]])


def scaled(points):
    """Three times as far from the origin."""
    return 3 * points


def ask(client, points):
    for part in np.array_split(points, 10):
        client.post("/predict", json={"points": part.tolist()}).raise_for_status()


def psi(client):
    found = re.findall(r'^gradflow_drift_psi{feature="(x\d)"} (\S+)$', client.get("/metrics").text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_validation_rows_pass_for_rows_of_the_training(start, rows):
    with start() as server, server.client() as client:
        assert psi(client) == {}
        ask(client, rows["val"][:ROWS])
        assert len(psi(client)) == 2 and max(psi(client).values()) < 0.1
        assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("moved", [rotated, scaled])
def test_moved_rows_are_noticed_and_answers_still_come(start, rows, moved):
    with start() as server, server.client() as client:
        ask(client, moved(rows["val"][:ROWS]))
        assert max(psi(client).values()) > 0.25
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json() == {
            "status": "degraded",
            "reason": "inputs are not like the training rows: a PSI is above 0.25; see /monitor",
        }
        assert client.post("/predict", json={"points": [[0, 0]]}).status_code == 200


def test_the_page_shows_what_is_served_and_what_has_moved(start, rows, browser, tmp_path):
    with start() as server, server.client() as client:
        ask(client, rows["val"][:ROWS])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(f"{server.address}/monitor")
        fingerprint = client.post("/predict", json={"points": [[0, 0]]}).json()["fingerprint"]
        assert page.get_by_text(fingerprint).is_visible()
        assert page.locator(".state").inner_text() == "ok"
        assert page.locator(".bars .over").count() == 0
        assert page.locator("figure img").evaluate("image => image.naturalWidth") > 300
        page.screenshot(path=tmp_path / "ok.png", full_page=True)

        ask(client, rotated(np.concatenate([rows["val"][:ROWS], rows["train"][:ROWS]])))
        page.reload()
        assert page.locator(".state").inner_text() == "degraded"
        assert page.locator(".bars .over").count() >= 10
        page.screenshot(path=tmp_path / "degraded.png", full_page=True)
        assert {url for url in asked if not url.startswith("data:")} == {f"{server.address}/monitor"} and not errors
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.screenshot(path=tmp_path / "narrow.png", full_page=True)
