"""search: an adaptive sweep, each point of which Optuna chooses from what came out of those before it.

There is no database of trials. They are the DVC experiments of this state of the checkout whose values lie in the
ranges, a grid's among them: so a search goes on after it was stopped, and on another machine, as a grid does.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from dvc.exceptions import DvcException
from dvc.utils.hydra import to_hydra_overrides
from dvc.utils.serialize import PARSERS
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from gradflow.guards import checkout
from gradflow.guards.errors import InputError
from gradflow.params import reading
from pipelines import dag, experiments, refs
from pipelines.experiments import Point
from pipelines.report import flat

_DIGITS = 4  # of a number that is drawn from an interval
_TRIES = 100  # proposals in a row of points that there are, after which a range counts as exhausted

optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would tell of each study


class State(StrEnum):
    """What is known of a trial; the names of Optuna's states."""

    RUNNING = "running"
    COMPLETE = "complete"
    DIVERGED = "diverged"  # to Optuna it was pruned, which is worse than any number
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """A point of the search.

    Attributes:
        point: As an experiment.
        values: Its place in the ranges, by key.
        state: How far it is.
        value: Its metric, where it is complete.
    """

    point: Point
    values: Mapping[str, Any]
    state: State = State.RUNNING
    value: float | None = None


@dataclass(frozen=True)
class Axis:
    """A key and what it may be.

    Attributes:
        key: As DVC takes it, with the name of its file where that is not params.yaml.
        file: The parameters file, seen from the pipeline's folder.
        range: Optuna's; that of a choice is of texts.
        choices: The value that each text stands for, where it is a choice.
    """

    key: str
    file: str
    range: BaseDistribution
    choices: Mapping[str, Any]

    def drawn(self, value: Any) -> Any:
        """A proposal with as many digits as are worth a name."""
        if not isinstance(self.range, FloatDistribution):
            return value
        low, high = self.range.low, self.range.high
        digits = _DIGITS - 1 - math.floor(math.log10(value if self.range.log else high - low))
        return min(max(round(value, digits), low), high)

    def place(self, params: Mapping[str, Any]) -> Any:
        """The place in the range of the value that stands in a parameters file; None where it has none."""
        found: Any = params
        for part in self.key.rpartition(":")[2].lstrip("+").split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if isinstance(self.range, FloatDistribution | IntDistribution):
            numbers = int if isinstance(self.range, IntDistribution) else int | float
            is_number = isinstance(found, numbers) and not isinstance(found, bool)
            inside = is_number and self.range.low <= found <= self.range.high
            return found if inside and not (self.range.step and (found - self.range.low) % self.range.step) else None
        return next((text for text, value in self.choices.items() if _same(value, found)), None)


def _text(place: Any) -> str:
    """A place as it stands in an override: numbers without an exponent."""
    return np.format_float_positional(place, trim="0") if isinstance(place, float) else str(place)


class Search:
    """The trials that there are, and the next one.

    Attributes:
        trials: By the names of their points, in the order in which they were run or asked for.
        axes: What is searched, and keys with one value.
        wanted: How many trials there shall be.
        metric: What is to be small.
    """

    def __init__(
        self, folder: Path, grid: Sequence[str], *, metric: str, trials: int, seed: int, shared: bool = False
    ) -> None:
        """Find the trials that have been run.

        Args:
            folder: Where the pipeline's dvc.yaml lies.
            grid: Keys with their ranges, in Hydra's grammar: ``train.lr=tag(log,interval(0.001,1))``,
                ``depth=int(interval(4,40))``, ``train.init=default,he``.
            metric: What to make small: a path into metrics.json, as the columns of a sweep's table are called.
            trials: How many there shall be, those included that have been run.
            seed: Of the sampler. The same trials and the same seed give the same next point.
            shared: Whether experiments in the git remote count too.

        Raises:
            InputError: A range, the metric or the number of trials makes no sense.
            RunError: The git remote cannot be reached.
        """
        if trials < 1:
            raise InputError("--trials", f"must be >= 1, got {trials}")
        if not 0 <= seed < 2**32:
            raise InputError("--seed", f"must be a whole number from 0 to {2**32 - 1}, got {seed}")
        self.folder, self.metric, self.wanted, self._seed = folder, metric, trials, seed
        self.axes = _axes(folder, grid)
        _check_metric(folder, metric)
        self._now = experiments.standing(folder, shared=shared)
        self.trials = {trial.point.name: trial for trial in self._there(shared=shared)}
        self._repeated = 0

    @property
    def identity(self) -> list[str]:
        """What makes this search another one than others, for the name of its files."""
        return [self._now.state, "optuna", self.metric, str(self._seed), *(f"{a.key}={a.range}" for a in self.axes)]

    @property
    def best(self) -> Trial | None:
        """The trial with the smallest metric; of several the first one."""
        complete = [trial for trial in self.trials.values() if trial.state == State.COMPLETE]
        return min(complete, key=lambda trial: trial.value or 0.0, default=None)

    def ask(self) -> Point | None:
        """The next point to run; None when there are as many as wanted, or no others to be found."""
        for _ in range(_TRIES):
            if len(self.trials) >= self.wanted:
                return None
            proposed = self._proposal()
            places = {axis.key: axis.drawn(proposed[axis.key]) for axis in self.axes}
            point = self._at(places)
            if point.name not in self.trials:
                self.trials[point.name] = Trial(point, places)
                return point
            self._repeated += 1
        return None

    def tell(self, point: Point, metrics: Mapping[str, Any] | None) -> None:
        """Note what came out of a point.

        Args:
            point: One that was asked for.
            metrics: What its metrics files hold; None where it failed.

        Raises:
            InputError: They hold no such metric.
        """
        trial = self.trials[point.name]
        failed = replace(trial, state=State.FAILED)
        self.trials[point.name] = failed if metrics is None else self._judged(trial, metrics)

    def _at(self, places: Mapping[str, Any]) -> Point:
        return self._now.point([f"{axis.key}={_text(places[axis.key])}" for axis in self.axes])

    def _judged(self, trial: Trial, metrics: Mapping[str, Any]) -> Trial:
        numbers, section = flat(metrics), metrics.get(self.metric.partition(".")[0])
        if self.metric not in numbers:
            raise _unknown(self.metric, numbers)
        value = numbers[self.metric]
        lost = isinstance(section, Mapping) and section.get("diverged")  # a mean over the others says too little
        if lost or not isinstance(value, int | float) or not math.isfinite(value):
            return replace(trial, state=State.DIVERGED)
        return replace(trial, state=State.COMPLETE, value=float(value))

    def _proposal(self) -> dict[str, Any]:
        """A place for each axis.

        The study is made anew from the trials each time, so that what is proposed follows from them alone.
        """
        number = len(self.trials) + self._repeated
        of_this = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=of_this))
        ranges = {axis.key: axis.range for axis in self.axes}
        study.add_trials([_to_optuna(trial, ranges) for trial in self.trials.values()])
        return study.ask(ranges).params

    def _there(self, *, shared: bool) -> list[Trial]:
        """The trials among the experiments: those whose names follow from their values and the state."""
        root = dag.root(self.folder).resolve()
        top = checkout.around(root) or root
        named = self._now.about(self.axes[0].key)
        if shared:
            refs.bring(root, named)
        commits = {one.name: one.commit for one in named}
        params: dict[str, dict[str, dict[str, Any]]] = {}
        for file in {axis.file for axis in self.axes}:
            path = (self.folder / file).resolve().relative_to(top).as_posix()
            params[file] = refs.read(top, commits, [path], partial(_parsed, path))
        found = []
        for name in commits:
            places = {axis.key: axis.place(params[axis.file][name]) for axis in self.axes}
            if None not in places.values() and (point := self._at(places)).name == name:
                found.append(Trial(point, places))
        metrics = experiments.metrics(self.folder, [trial.point.name for trial in found])
        return [self._judged(trial, metrics[trial.point.name]) for trial in found]


def _axes(folder: Path, grid: Sequence[str]) -> list[Axis]:
    found = []
    for file, overrides in experiments.by_file(folder, grid).items():
        for override in to_hydra_overrides(overrides):
            key = override.get_key_element()
            with experiments.readable(grid):
                chosen, choices = _range(key, override)
            found.append(Axis(experiments.addressed(file, key), file, chosen, choices))
    if all(axis.range.single() for axis in found):
        raise InputError("grid", f"must have a key with several values to search, got {' '.join(grid)!r}")
    return found


def _range(key: str, override: Any) -> tuple[BaseDistribution, dict[str, Any]]:
    """What Optuna draws from, and what its texts stand for.

    Raises:
        InputError: The bounds make no sense.
    """
    if override.is_interval_sweep():
        low, high, log = override.value().start, override.value().end, "log" in override.value().tags
        if not (low < high and math.isfinite(high - low)):
            raise InputError("grid", f"{key}: must be an interval from a smaller to a larger number, got {low}, {high}")
        if log and low <= 0:
            raise InputError("grid", f"{key}: must begin above 0 where the interval is logarithmic, got {low}")
        kind = IntDistribution if isinstance(low, int) else FloatDistribution
        return kind(low, high, log=log), {}
    if override.is_range_sweep():
        numbers = sorted(override.value().range())
        if all(isinstance(number, int) for number in numbers) and len(numbers) > 1:
            return IntDistribution(numbers[0], numbers[-1], step=numbers[1] - numbers[0]), {}
    several = override.is_sweep_override()
    texts = list(override.sweep_string_iterator()) if several else [override.get_value_element_as_str()]
    choices = {text: to_hydra_overrides([f"x={text}"])[0].value() for text in texts}
    return CategoricalDistribution(list(choices)), choices


def _to_optuna(trial: Trial, ranges: Mapping[str, BaseDistribution]) -> FrozenTrial:
    states = {
        State.RUNNING: TrialState.RUNNING,
        State.COMPLETE: TrialState.COMPLETE,
        State.DIVERGED: TrialState.PRUNED,
        State.FAILED: TrialState.FAIL,
    }
    return create_trial(
        state=states[trial.state], value=trial.value, params=dict(trial.values), distributions=dict(ranges)
    )


def _check_metric(folder: Path, metric: str) -> None:
    """Check a metric against those of the checkout, as far as it has any: a variant may be new.

    Raises:
        InputError: It is none of them.
    """
    plan = dag.read(folder)
    found: dict[str, Any] = {}
    for file in plan.metrics:
        if (path := plan.root / file).suffix == ".json" and path.is_file():
            found |= json.loads(path.read_text(encoding="utf-8"))
    numbers = flat(found)
    own = reading.read(folder / "params.yaml").get("variants") or {}
    of_new = {f"{variant}.{name.partition('.')[2]}" for variant in own for name in numbers}
    if numbers and metric not in {*numbers, *of_new}:
        raise _unknown(metric, numbers)


def _unknown(metric: str, numbers: Mapping[str, Any]) -> InputError:
    like = ", ".join(get_close_matches(metric, numbers, 3) or list(numbers)[:3])
    hint = f", such as {like}" if like else ", which has none"
    return InputError("--metric", f"must be a number of metrics.json{hint}; got {metric}")


def _parsed(path: str, content: bytes) -> dict[str, Any]:
    """A parameters file; empty where it cannot be read: it belongs to no trial."""
    try:
        found = PARSERS[Path(path).suffix.lower()](content.decode(), path)
    except (DvcException, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one to JSON too, where 1 is not true."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)
