"""explorer: how long reports/index.html takes to its first drawing, and its sliders for a frame, in Chromium."""

import shutil
from typing import TYPE_CHECKING, Any

import click

from benchmarks.process import CHECKOUT

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGE = CHECKOUT / "reports/index.html"
WIDTHS = (1280, 390)
# The drawing of each frame, up to where everything has its place: ms. An input event is what a key or a hand sends.
FRAMES = """slider => Array.from({ length: Number(slider.max) + 1 }, (_, at) => {
  slider.value = at;
  const start = performance.now();
  slider.dispatchEvent(new Event("input"));
  document.body.getBoundingClientRect();
  return performance.now() - start;
})"""


def opened() -> list[dict[str, Any]]:
    """The page at two widths: seconds to the first drawing, and the slowest frame of both sliders."""
    if not PAGE.is_file():
        raise click.ClickException(f"{PAGE}: is missing; run `make studies`, which makes it")
    from playwright.sync_api import sync_playwright  # where there is a GPU, there may be none

    rows = []
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox"])
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 844})
            rows.append({"width": width} | _times(page))
            page.close()
        browser.close()
    return rows


def _times(page: "Page") -> dict[str, float]:
    page.goto(PAGE.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
    first = page.evaluate("performance.getEntriesByName('first drawing')[0].startTime")
    frames = [ms for slider in page.locator("#explorer input").all() for ms in slider.evaluate(FRAMES)]
    return {"first": first / 1e3, "frame": max(frames) / 1e3}
