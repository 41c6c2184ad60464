"""The page for people: which run answers, and whether its inputs look like those of its training."""

import base64
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from serving import bundle
from serving.front.answering import Served

_TEMPLATES = Path(__file__).with_name("template")
_NUMBERS = {
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "grad_first_over_last": "gradient norm, first / last block",
    "vanished_layers": "vanished blocks",
    "learnt": "share of seeds that learnt",
}


def rendered(served: Served, degraded: str, models: str | None) -> str:
    """The page, which loads nothing.

    Args:
        served: What answers.
        degraded: What is not as it should be; empty if nothing is.
        models: The page of the registered models, if MLflow is a server.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    run, window = served.described.run, served.window
    return environment.get_template("page.html.j2").render(
        stylesheet=(resources.files("gradflow.report") / "template" / "style.css").read_text(encoding="utf-8"),
        run=run,
        served=served,
        degraded=degraded,
        monitor=served.described.monitor,
        features=_features(served),
        predicted=window.predicted(),
        rows=len(window),
        numbers={words: run.numbers[key] for key, words in _NUMBERS.items() if key in run.numbers},
        figure=base64.b64encode((served.folder / bundle.FIGURE).read_bytes()).decode(),
        models=f"{models}/gradflow-{run.variant}" if models else None,
    )


def _features(served: Served) -> list[dict[str, Any]]:
    """Each feature with its bins as bars: their edges in words and both heights, as shares of the highest."""
    found = []
    measured = served.window.features()
    for index, (name, edges) in enumerate(zip(served.described.run.features, served.reference.edges, strict=True)):
        feature = measured[index] if measured else None
        then = served.reference.shares[index]
        now = feature.now if feature else None
        most = max(*then, *(now or [0.0]))
        ends = ["-∞", *(f"{edge:.2g}" for edge in edges), "∞"]
        found.append(
            {
                "name": name,
                "psi": feature.psi if feature else None,
                "bins": [
                    {
                        "range": f"{ends[place]} to {ends[place + 1]}",
                        "then": then[place],
                        "now": now[place] if now else None,
                        "height": then[place] / most,
                        "height_now": now[place] / most if now else 0.0,
                    }
                    for place in range(len(then))
                ],
            }
        )
    return found
