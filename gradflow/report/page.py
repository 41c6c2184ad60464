"""All sections on one page, which contains everything that it needs and loads nothing."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import altair
import jinja2
import pandas as pd
import vl_convert
from PIL import Image

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.guards.errors import RunError
from gradflow.report import charts, claims, evolution, explorer, headline, lenses, routing
from gradflow.report.words import count, number

_TEMPLATES = Path(__file__).with_name("template")
_LARGEST = 6 * 10**6  # bytes of the page
_VEGA_LITE = ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])  # the version that Altair writes for


@dataclass(frozen=True)
class Run:
    """What the root pipeline left.

    Attributes:
        experiment: What its charts share.
        params: params.yaml as nested keys and values.
        metrics: reports/metrics.json.
        norms: reports/gradient_norms.csv.
        probes: reports/probe.csv.
        history: reports/history.csv.
    """

    experiment: Experiment
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    norms: pd.DataFrame
    probes: pd.DataFrame
    history: pd.DataFrame


@dataclass(frozen=True)
class Identity:
    """What studies/identity left.

    Attributes:
        experiment: What its charts share; an epoch is a step.
        params: Its params.yaml.
        metrics: studies/identity/reports/metrics.json.
        probes: studies/identity/reports/probe.csv.
        history: studies/identity/reports/history.csv.
        compared: What was published beside what was measured.
        definitions: Variant to (definition, at layer 1, at the last layer).
        widest: How far apart the definitions are, in a sentence.
    """

    experiment: Experiment
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    probes: pd.DataFrame
    history: pd.DataFrame
    compared: Sequence[Any]
    definitions: Mapping[str, Sequence[tuple[str, str, str]]]
    widest: str


@dataclass(frozen=True)
class Drawn:
    """A figure of a study.

    Attributes:
        title: What it shows.
        study: Name of the study.
        png: The picture.
    """

    title: str
    study: str
    png: bytes

    @property
    def data(self) -> str:
        """The picture as an address that holds it, in 256 colours: half as large, and the eye sees no difference.

        Raises:
            RunError: It is none.
        """
        small = BytesIO()
        try:
            with Image.open(BytesIO(self.png)) as picture:
                picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        except (OSError, SyntaxError) as error:  # what Pillow says of pictures that are cut off or none
            where = f"studies/{self.study}: figure {self.title!r}"
            raise RunError(f"{where}: cannot be read; run `dvc repro {self.study}/dvc.yaml` in studies/") from error
        return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode('ascii')}"


# What the probe of studies/identity may have recorded: column to its label and that of the axis
_PROBED = {
    "delta_norm": ("‖δ‖ = ‖∂loss/∂z‖", "‖δ‖ = ‖∂loss/∂z‖"),
    "weight_grad_norm": ("‖∂loss/∂W‖", "‖∂loss/∂W‖"),
    "z_std": ("std(z), pre-activations", "std(z)"),
    "x_std": ("std(x), the stream", "std(x)"),
}


@dataclass(frozen=True)
class _Quantity:
    """What a slider and its heatmaps can show: a column of a table."""

    label: str
    axis: str
    table: pd.DataFrame
    column: str


def render(
    run: Run,
    study: Identity,
    routed: routing.Routing,
    read: lenses.Lenses,
    trainings: explorer.Trainings,
    figures: Sequence[Drawn],
    ledger: Sequence[Mapping[str, Any]],
) -> str:
    """The page as HTML.

    Args:
        run: The root pipeline's results.
        study: Those of the distant-identity experiment.
        routed: Those of the study of routing.
        read: Those of the study of streams.
        trainings: Those of all studies of the root's networks.
        figures: Those of further studies.
        ledger: The evaluated claims, as in reports/claims.json.

    Raises:
        RunError: The page is larger than 6 MB.
    """
    gradients = _evolution(
        "epoch",
        run.experiment,
        [
            _Quantity("‖∂loss/∂W‖, mean over the steps of the epoch", "‖∂loss/∂W‖", _heads_in_line(run), "grad_norm"),
            _Quantity("‖δ‖ = ‖∂loss/∂z‖, on the rows of the probe", "‖δ‖ = ‖∂loss/∂z‖", run.probes, "delta_norm"),
        ],
    )
    steps = _evolution(
        "step",
        study.experiment,
        [
            _Quantity(label, axis, study.probes, column)
            for column, (label, axis) in _PROBED.items()
            if column in study.probes
        ],
    )
    rows = claims.claims(ledger)
    lens = lenses.payload(read)
    losses = {"val_loss": "validation", "train_loss": "train, during the epoch"}
    drawn = {
        "loss": charts.over_time(run.history, "epoch", losses, "cross-entropy (nats)", run.experiment, log=True),
        "accuracy": charts.over_time(
            run.history,
            "epoch",
            {"val_accuracy": "validation"},
            "share of rows in the right class",
            run.experiment,
            log=False,
        ),
        "identity_loss": charts.over_time(
            study.history, "step", {"loss": "fresh batch"}, "mean squared error", study.experiment, log=True
        ),
    }
    scripts = {name: _script(name) for name in ("explorer", "vega", "page")}
    template = _environment().get_template("page.html.j2")
    page = template.render(
        run=run,
        study=study,
        routed=routed,
        read=read,
        lens=lens,
        trainings={"runs": len(trainings.facts["runs"]), "packed": explorer.packed(trainings)},
        figures=figures,
        headlines=headline.headlines(run.metrics, run.experiment, run.params["analysis"]["vanished_below"]),
        gradients=gradients,
        steps=steps,
        claims=rows,
        chapters=claims.chapters(rows),
        choices=claims.choices(rows),
        counts=claims.counts,
        tables={
            "params.yaml": leaves(run.params),
            "studies/identity/params.yaml": leaves(study.params),
            "studies/routing/params.yaml": leaves(routed.params),
        },
        data={
            "charts": drawn,
            "evolutions": {"gradients": gradients, "steps": steps},
            "routing": routing.payload(routed),
            "lenses": lens,
        },
        scripts=scripts,
        hashes=" ".join(f"'sha256-{_hash(script)}'" for script in scripts.values()),
        stylesheet=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        colours=len(style.COLOURS),
    )
    size = len(page.encode())
    if size > _LARGEST:
        raise RunError(f"the page would hold {size / 1e6:.1f} MB, more than {_LARGEST / 1e6:g}: train fewer variants")
    return page


def leaves(params: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Dotted key to value as text, in the order of the file."""
    found: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = "null" if value is None else str(value)
    return found


def _heads_in_line(run: Run) -> pd.DataFrame:
    """The norms with all heads on one layer, that after the deepest network's last block."""
    layer = run.norms["layer"].mask(run.norms["name"] == "head", run.experiment.depth + 1)
    return run.norms.assign(layer=layer)


def _evolution(time: str, experiment: Experiment, quantities: Sequence[_Quantity]) -> dict[str, Any]:
    """What the script needs to draw one slider with its curves and heatmaps."""
    return {
        "time": time,
        "variants": list(experiment.diverged),
        "quantities": [_quantity(time, experiment, quantity) for quantity in quantities],
    }


def _quantity(time: str, experiment: Experiment, quantity: _Quantity) -> dict[str, Any]:
    found = evolution.over_seeds(quantity.table, time, quantity.column, experiment)
    note = f" {count(found.left_out, time)} between are left out." if found.left_out else ""
    low, high = found.limits
    return {
        "label": quantity.label,
        "note": note,
        "ends": [number(low), number(max(high, 10 * low))],
        "floor": charts.floor_and_top(found.limits)[0],
        "zero": charts.zero_mark(found.limits),
        "at": [charts.place(layer, experiment) for layer in found.layers],
        "apart": [layer in (0, experiment.depth + 1) for layer in found.layers],
        "curves": charts.by_layer(found, experiment, quantity.axis),
        "heatmap": charts.heatmap(found, experiment, quantity.axis, time),
        **found.payload(),
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # tojson writes <, > and & as escapes, so that no text can end the script element that holds it.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False, "sort_keys": False}
    environment.filters["number"] = number
    return environment


def _script(name: str) -> str:
    """Vega with what draws it, or a script of the page's own."""
    code = (
        vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE)
        if name == "vega"
        else (_TEMPLATES / f"{name}.js").read_text(encoding="utf-8")
    )
    assert "</script" not in code.lower() and "<!--" not in code, "would end its own element"
    return code


def _hash(script: str) -> str:
    """What the page's Content-Security-Policy lets run, and nothing else."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
