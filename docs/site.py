"""site: the documentation as a site, from the Markdown files of the repository and the docstrings of its modules.

Lays out in ``.site`` what Zensical builds into ``site``: the files as they are on GitHub, with links that work in the
site too. A link to a module leads to its place in the reference, one to another file to a page that shows it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAID_OUT = ROOT / ".site"
REPORT = "reports/index.html"

# The order of the pages. What docs/ has besides follows at the end of the guides.
PAGES: Mapping[str, Sequence[str]] = {
    "Results": ("reports/claims.md", "docs/findings.md", "docs/page.md", "docs/residuals.md", "docs/blocks.md"),
    "Guides": ("data/own/README.md", "docs/tracking.md", "docs/scheduling.md", "docs/cluster.md", "docs/serving.md"),
    "Inside": ("docs/architecture.md", "docs/reliability.md", "benchmarks/README.md", "SECURITY.md"),
    "Contributing": ("CONTRIBUTING.md", "CHANGELOG.md"),
}

# The reference in the order in which data flow. What gradflow/ has besides follows at its end.
REFERENCE: Mapping[str, Sequence[str]] = {
    "Stages": tuple(f"stages.{name}" for name in ("check", "fetch", "scale", "train", "gradients", "plot", "track")),
    "Rows and files": ("gradflow.data", "gradflow.tables", "gradflow.files"),
    "Networks": ("gradflow.kit", "gradflow.blocks", "gradflow.mixing", "gradflow.networks", "gradflow.memory"),
    "Training": ("gradflow.training", "gradflow.instruments", "gradflow.checkpoints", "gradflow.boundary"),
    "From logs to figures": ("gradflow.theory", "gradflow.analysis", "gradflow.drawing", "gradflow.figures"),
    "Studies": ("gradflow.moons", "gradflow.digits", "gradflow.streams"),
    "Claims, page, tracking": ("gradflow.ledger", "gradflow.report", "gradflow.tracking"),
    "Rules and guards": ("gradflow.recipe", "gradflow.params", "gradflow.guards"),
    "Flows and serving": ("pipelines", "serving"),
}

_MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml"}
_ASSETS = (".png", ".svg", ".html", ".json")  # which browsers show as they are


def main() -> None:
    """Lay out the pages and build the site from them."""
    layout = Layout()
    layout.write()
    for line in layout.broken:
        print(f"gradflow: {line}", file=sys.stderr)
    if layout.broken:
        sys.exit(1)
    if not (ROOT / REPORT).exists():
        print(f"gradflow: {REPORT} is not there, so the site is without it: `make studies` makes it")
    zensical = Path(sys.executable).with_name("zensical")
    command = [zensical, "build", "--strict", "--config-file", LAID_OUT / "zensical.toml"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:  # noqa: S603  # no shell
        sys.exit("gradflow: the site is not built; the warnings above say why")
    shutil.rmtree(ROOT / "site", ignore_errors=True)
    (LAID_OUT / "html").rename(ROOT / "site")


class Layout:
    """Pages and configuration as Zensical reads them.

    Attributes:
        broken: A line for each link to a file that is not there.
    """

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._pages = {name: _place(name) for name in _written()}
        self._reference = {name: f"reference/{name}.md" for names in _documented().values() for name in names}
        self._modules = {module: page for name, page in self._reference.items() for module in _modules(name)}

    def write(self) -> None:
        """Write all of it, anew."""
        shutil.rmtree(LAID_OUT, ignore_errors=True)
        for name, place in self._pages.items():
            text = self._linked(name, (ROOT / name).read_text(encoding="utf-8"))
            bare = "navigation" if place == "index.md" else "toc" * ("\n## " not in text)  # no column without content
            _write(place, f"---\nhide: [{bare}]\n---\n\n{text}")
        if self.broken:
            return
        for place in self._pages.values():
            _draw(place)
        for name, place in self._reference.items():
            several = f"# {name}\n\n" + "".join(f"::: {module}\n\n" for module in _modules(name))
            alone = f"::: {name}\n    options:\n      heading_level: 1\n"
            _write(place, alone if _modules(name) == [name] else several)
        shutil.copy(ROOT / "docs" / "site.css", LAID_OUT / "pages")
        shutil.copy(ROOT / "docs" / "roles.py", LAID_OUT)
        settings = (ROOT / "docs" / "zensical.toml").read_text(encoding="utf-8")
        own = f'[project]\ndocs_dir = "pages"\nsite_dir = "html"\nnav = {_toml(self._nav())}\n'
        (LAID_OUT / "zensical.toml").write_text(settings.replace("[project]\n", own, 1), encoding="utf-8")

    def _nav(self) -> list[dict[str, object]]:
        named = {name for names in PAGES.values() for name in names}
        more = [name for name in self._pages if name not in named and name != "README.md"]
        pages = {**PAGES, "Guides": [*PAGES["Guides"], *more]}
        return [
            {"Home": "index.md"},
            *(
                {title: [{_title(name): self._pages[name]} for name in names if name in self._pages]}
                for title, names in pages.items()
            ),
            {
                "Reference": [
                    {title: [{name: self._reference[name]} for name in names]} for title, names in _documented().items()
                ]
            },
        ]

    def _linked(self, name: str, text: str) -> str:
        """A page whose links are those of the site; what they lead to is laid out too."""

        def linked(found: re.Match[str]) -> str:
            address, anchor = found[1], found[2] or ""
            if re.match(r"[a-z]+:", address):
                return found[0]
            target = os.path.normpath(Path(name).parent / address)
            place = self._target(target)
            if place is None:
                self.broken.append(f"{name}: must link to what is there, got {address}")
                return found[0]
            anchor = f"#{_module(target)}" if place.startswith("reference/") and target.endswith(".py") else anchor
            return f"]({os.path.relpath(place, Path(self._pages[name]).parent)}{anchor})"

        parts = _CODE.split(text)
        return "".join(part if index % 2 else _LINK.sub(linked, part) for index, part in enumerate(parts))

    def _target(self, name: str) -> str | None:
        """Where a file or folder of the repository is in the site; None where there is none."""
        path = ROOT / name
        known = (
            self._pages | {name: self._pages["docs/page.md"]} if name == REPORT and not path.exists() else self._pages
        )
        for places, key in ((known, name), (self._modules, _module(name)), (self._reference, _module(name))):
            if key in places:
                return places[key]
        if (path / "params.yaml").is_file():  # a study
            return self._target(f"{name}/params.yaml")
        if not path.is_file():
            return None
        if path.suffix in _ASSETS:
            (LAID_OUT / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, LAID_OUT / "pages" / name)
            return name
        place = re.sub(r"(^|/)\.", r"\1", f"files/{name}.md")  # Zensical leaves out what starts with a dot
        language = _LANGUAGES.get(path.suffix, "text")
        shown = f"````{language}\n{path.read_text(encoding='utf-8').rstrip()}\n````\n"
        _write(place, f"---\nsearch:\n  exclude: true\n---\n\n# {name}\n\n{shown}")
        return place


def _written() -> list[str]:
    """All pages that somebody has written."""
    named = ["README.md", *(name for names in PAGES.values() for name in names)]
    found = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))]
    return [name for name in dict.fromkeys([*named, *found]) if (ROOT / name).exists()]


def _draw(place: str) -> None:
    """Make pictures of the diagrams of a page: Mermaid's own script would come from another machine."""

    def drawn(diagram: re.Match[str]) -> str:
        pictures = []
        for theme, scheme in (("neutral", "light"), ("dark", "dark")):
            name = f"{Path(place).stem}-{diagram.start()}-{scheme}.svg"
            source = f"%%{{init: {{'theme': '{theme}'}}}}%%\n{diagram[1]}"
            command = [sys.executable, "-m", "mmdr", "-i", "-", "-o", (LAID_OUT / "pages" / place).with_name(name)]
            subprocess.run(command, input=source, text=True, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # no shell
            pictures.append(f"![Diagram]({name}#only-{scheme})")
        return f'<div class="diagram" markdown>\n{"".join(pictures)}\n</div>'

    page = LAID_OUT / "pages" / place
    page.write_text(_MERMAID.sub(drawn, page.read_text(encoding="utf-8")), encoding="utf-8")


def _place(name: str) -> str:
    return re.sub(r"README\.md$", "index.md", name)


def _documented() -> dict[str, Sequence[str]]:
    """Packages and modules by section of the reference."""
    named = {name for names in REFERENCE.values() for name in names}
    paths = [path for path in sorted((ROOT / "gradflow").iterdir()) if not path.name.startswith("_")]
    found = [_module(path.relative_to(ROOT).as_posix()) for path in paths]
    more = [name for name in found if name not in named and _modules(name)]
    return {**REFERENCE, **({"More": more} if more else {})}


def _module(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".")


def _modules(name: str) -> list[str]:
    """The modules of a package, of those in it too; a module itself."""
    path = ROOT / name.replace(".", "/")
    if path.with_suffix(".py").is_file():
        return [name]
    files = sorted(path.rglob("*.py"))
    return [_module(file.relative_to(ROOT).as_posix()) for file in files if not file.name.startswith("_")]


def _title(name: str) -> str:
    heading = re.search(r"^# (.+)$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1] if heading else name


def _write(place: str, text: str) -> None:
    path = LAID_OUT / "pages" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    main()
