"""The picture of the page in README: `make picture` takes it anew. It carries the MD5 of the page that it shows."""

import hashlib
import shutil
import sys
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "reports/index.html", ROOT / "docs/report.png"


def main() -> None:
    """Show the page in Chromium and keep its first screen: the slider from plain to residual with its charts."""
    chromium = shutil.which("chromium")
    if not chromium:
        sys.exit("gradflow: the picture is taken with Chromium; install it: apt-get install chromium")
    if not PAGE.is_file():
        sys.exit("gradflow: reports/index.html: is missing; run `make studies`, which makes it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1340}, color_scheme="light")
        page.goto(PAGE.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
        page.screenshot(path=PICTURE)
        browser.close()
    about = PngInfo()
    about.add_text("page", hashlib.md5(PAGE.read_bytes(), usedforsecurity=False).hexdigest())  # as DVC names it
    with Image.open(PICTURE) as picture:
        picture.save(PICTURE, pnginfo=about, optimize=True)


if __name__ == "__main__":
    main()
