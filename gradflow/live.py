"""live: how a training is getting on, drawn on a terminal as it runs; elsewhere ten plain lines."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradflow.training.step import Step
from gradflow.training.trainer import Epoch

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

_SECONDS = 0.25  # between two pictures
_ROWS = 4  # that the bars are high
_WIDEST = 3  # columns of a bar, with the gap behind it
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_PLAIN = " #"  # where the terminal has no such letters

Report = Callable[[Epoch], None]


@contextmanager
def shown(variant: str, epochs: int, step: Step) -> Iterator[Report]:
    """Show a training within the block; yields what the trainer has to call after each epoch.

    Args:
        variant: Its name.
        epochs: Its length.
        step: What takes its steps: its gradient norms are looked at, no other is computed.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") in (
        "dumb",
        "unknown",
    ):  # which cannot draw over what they show
        yield lambda epoch: _line(variant, epochs, epoch)
        return
    from rich.console import Console  # a tenth of a second, which others need not wait
    from rich.live import Live

    with Live(console=Console(stderr=True, highlight=False), auto_refresh=False) as live:
        yield _Picture(variant, epochs, step, live).report


def by_layer(step: Step, epoch: int, epochs: int) -> NDArray[np.float64]:
    """The gradient norm of each layer in an epoch, as the tables have it: (layers,), the stem first.

    Mean over steps of each linear map, root of the sum of the squares over the maps of a layer, median over the seeds
    that are still training; nan where there are none.
    """
    steps = len(step.grad_norm) // epochs
    alive = step.alive.cpu().numpy()
    norms = step.grad_norm[(epoch - 1) * steps : epoch * steps].double().mean(0).cpu().numpy()[alive]
    layers = np.array([each.layer for each in step.network.linear_maps()])
    squares = np.stack([(norms[:, layers == layer] ** 2).sum(1) for layer in range(layers.max() + 1)])
    return np.median(squares**0.5, axis=1) if alive.any() else np.full(len(squares), math.nan)


def _line(variant: str, epochs: int, epoch: Epoch) -> None:
    last = epoch.number == epochs or not epoch.training
    if last or epoch.number % max(1, epochs // 10) == 0:
        said = [f"loss {epoch.means[0]:.4g}", f"accuracy {epoch.means[2]:.3f}"] if epoch.training else []
        print(f"{variant}: epoch {epoch.number}/{epochs}, {', '.join([*said, *_diverged(epoch)])}", flush=True)


def _diverged(epoch: Epoch) -> list[str]:
    lost = epoch.seeds - epoch.training
    return [f"{lost} of {epoch.seeds} seeds diverged"] * bool(lost)


class _Picture:
    """A progress bar, losses and accuracy, and a bar for the gradient norm of each layer."""

    def __init__(self, variant: str, epochs: int, step: Step, live: "Live") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn()
        self._progress = Progress(*columns, console=live.console, auto_refresh=False, expand=True)
        self._task = self._progress.add_task(variant, total=epochs)
        self._epochs, self._step, self._live = epochs, step, live
        self._next, self._first = 0.0, True
        self._profile: list[Profile] = []

    def report(self, epoch: Epoch) -> None:
        """Draw an epoch, unless the last picture is too young."""
        from rich.console import Group
        from rich.text import Text

        if self._first:  # the time left is not reckoned from epochs that another process has trained
            self._progress.tasks[0].completed, self._first = epoch.number - 1, False
        self._progress.update(self._task, completed=epoch.number)
        now = time.monotonic()
        last = epoch.number == self._epochs or not epoch.training
        if now < self._next and not last:
            return
        self._next = now + _SECONDS
        said = []
        if epoch.training:
            loss, val_loss, accuracy = epoch.means
            seeds = "1 seed" if epoch.training == 1 else f"mean of {epoch.training} seeds"
            said.append(f"loss {loss:.4g}; validation: loss {val_loss:.4g}, accuracy {accuracy:.3f}; {seeds}")
            self._profile = [Profile(by_layer(self._step, epoch.number, self._epochs))]
        numbers = Text("; ".join([*said, *_diverged(epoch)]))
        self._live.update(Group(self._progress, numbers, *self._profile), refresh=True)


class Profile:
    """A bar for each layer, as high as the logarithm of its gradient norm, with scale and legend.

    Args:
        norms: (layers,), the stem's first.
    """

    def __init__(self, norms: NDArray[np.float64]) -> None:
        self._norms = norms
        logarithms = np.log10(norms[norms > 0]) if (norms > 0).any() else np.zeros(1)
        self._low = math.floor(logarithms.min())
        self._high = max(math.ceil(logarithms.max()), self._low + 1)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw it in the width that there is."""
        from rich.text import Text

        labels = [f"1e{power:+03d} " for power in (self._high, self._low)]
        left = max(map(len, labels))
        room = max(1, options.max_width - left - 1)
        together = math.ceil(len(self._norms) / room)  # layers that share a bar
        groups = np.array_split(self._norms, math.ceil(len(self._norms) / together))
        column = min(_WIDEST, room // len(groups))
        levels = _EIGHTHS if options.encoding.startswith("utf") else _PLAIN
        bars = [self._height(group) for group in groups]
        for row in range(_ROWS, 0, -1):
            label = {_ROWS: labels[0], 1: labels[1]}.get(row, "").rjust(left)
            drawn = "".join(_cell(bar * _ROWS - row + 1, levels, column) for bar in bars)
            yield Text.assemble(label, "┤" if levels is _EIGHTHS else "|", (drawn.rstrip(), "cyan"))
        first, last = "stem", "head"
        between = max(1, column * len(groups) - len(first) - len(last) - (column > 1))
        yield Text(f"{'':{left + 1}}{first}{'':{between}}{last}")
        legend = "gradient norm by layer on a log scale, median of seeds: input left, output right"
        legend += f"; {together} layers a bar, their mean" * (together > 1)
        yield Text(legend + "; no bar: 0" * bool((self._norms == 0).any()))

    def _height(self, norms: NDArray[np.float64]) -> float:
        """Of a bar, from 0 to 1: more than 0 where a norm is."""
        positive = norms[norms > 0]
        if not len(positive):
            return 0.0
        place = (np.log10(positive).mean() - self._low) / (self._high - self._low)
        return max(float(place), 1 / (8 * _ROWS))


def _cell(level: float, levels: str, width: int) -> str:
    """What a bar shows in a row that its top is so far above the foot of."""
    letter = levels[round(min(max(level, 0.0), 1.0) * (len(levels) - 1))]
    return letter * max(1, width - 1) + " " * (width > 1)
