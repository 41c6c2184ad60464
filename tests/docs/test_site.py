"""The site that `make docs` has built: every link leads somewhere, and nothing is asked of other machines."""

import functools
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
HOST = "http://site"
PAGES = ("", "docs/findings/", "reports/claims/", "reference/gradflow.kit/")


class Page(HTMLParser):
    """Where a page leads and what can be led to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if found.get(name) and tag != "base"]


@pytest.fixture(scope="module")
def pages():
    """The pages by their address; other files have none of their own."""
    assert (SITE / "index.html").exists(), "these tests look at the site: `make docs` builds it"
    own = [path for path in SITE.rglob("*.html") if path != SITE / "reports/index.html"]
    return {path.relative_to(SITE).as_posix().removesuffix("index.html"): Page(path.read_text()) for path in own}


def lost(pages):
    """Links that lead nowhere, each with the page that has it."""
    for address, page in pages.items():
        for link in page.links:
            target = urlsplit(urljoin(f"{HOST}/{address}", link))
            if f"{target.scheme}://{target.netloc}" != HOST:
                continue
            path, anchor = unquote(target.path).removeprefix("/"), unquote(target.fragment)
            there = pages.get(path)
            if there is None:
                if not (SITE / path).is_file():
                    yield address, link
            elif anchor not in there.anchors and not anchor.startswith("__"):  # of the theme's scripts
                yield address, link


def test_every_link_and_anchor_within_the_site_leads_somewhere(pages):
    assert len(pages) > 30 and sum(len(page.links) for page in pages.values()) > 3_000
    assert [*lost(pages)] == []


def test_a_link_to_nowhere_would_be_found(pages):
    own = {**pages, "": Page('<a href="docs/nothing/">a</a><img src="x.png"><a href="docs/findings/#nothing">b</a>')}
    assert [link for address, link in lost(own) if address == ""] == [
        "docs/nothing/",
        "x.png",
        "docs/findings/#nothing",
    ]


def test_nothing_of_a_page_lies_elsewhere():
    for path in SITE.rglob("*.html"):
        text = path.read_text(encoding="utf-8") if path != SITE / "reports/index.html" else ""
        assert not re.findall(
            r'<(?:script|img|iframe|link rel="(?:stylesheet|preconnect)")[^>]*(?:src|href)="https?:', text
        )


def test_all_public_modules_are_in_the_reference(pages):
    anchors = {anchor for address, page in pages.items() if address.startswith("reference/") for anchor in page.anchors}
    files = [*(ROOT / "gradflow").rglob("*.py"), *(ROOT / "stages").glob("*.py"), *(ROOT / "pipelines").glob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files if path.name[0] != "_"}
    assert len(names) > 100 and not names - anchors
    assert {"gradflow.kit.block.Block.branch", "gradflow.checkpoints.load"} <= anchors


def test_a_link_to_a_missing_file_stops_the_build_with_a_line(fresh, tmp_path):
    own = fresh.copy(tmp_path / "project")
    with (own.root / "docs/findings.md").open("a", encoding="utf-8") as file:
        file.write("See [this](nothing.md), and `[that](neither.md)`.\n")
    done = subprocess.run([sys.executable, "docs/site.py"], cwd=own.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "gradflow: docs/findings.md: must link to what is there, got nothing.md\n" in done.stderr
    assert "neither.md" not in done.stderr and "Traceback" not in done.stderr
    assert not (own.root / "site").exists()


@pytest.fixture(scope="module")
def served():
    """The site on a port of this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def visit(browser, served):
    """Open a page of the site; nothing may be said on the console or asked of another machine."""
    said, asked, opened = [], [], []

    def open_page(address, **options):
        page = browser.new_page(**options)
        opened.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served + address)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert said == []
    assert asked and all(url.startswith((served, "data:", "blob:")) for url in asked), asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("address", PAGES)
def test_pages_fit_the_window_and_ask_nothing_of_other_machines(visit, address, width, scheme):
    page = visit(address, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.locator("article h1").count() == 1
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 128
    assert dark == (scheme == "dark")


def test_search_finds_a_word_of_a_docstring(visit):
    page = visit("")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    page.locator("input:focus").wait_for()
    page.keyboard.type("denseformer")
    page.locator('a[href*="/reference/gradflow.mixing/"][href*="denseformer"]').first.wait_for()


def test_a_signature_shows_its_types_and_formulas_are_there(visit):
    page = visit("reference/gradflow.kit/")
    text = page.locator("article").inner_text()
    assert "branch(x: Tensor) -> Tensor" in text and "after(carry(x) + branch(x))" in text
    assert ":class:" not in text and ":func:" not in text
