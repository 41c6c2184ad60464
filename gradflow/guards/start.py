"""How a stage or a flow starts: what has to be in place before its imports, which take seconds.

The first ``python`` on the path may be one that is too old or has no packages. Therefore nothing but Python's own
modules is imported before :func:`python` can say so.
"""

from __future__ import annotations  # an older Python would stumble over some of them

import atexit
import gc
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import TracebackType

_OLDEST = (3, 11)
_OWN = ("gradflow", "pipelines", "stages", "studies")
_REMEDY = "run `make setup`, then `source .venv/bin/activate`; in an editor, choose .venv/bin/python"


def python() -> None:
    """End this process in one line and with exit code 2 if its Python is too old or, in an import, lacks a package."""
    if sys.version_info < _OLDEST:
        version = ".".join(map(str, sys.version_info[:2]))
        _refuse(f"needs Python 3.11 or newer, {sys.executable} is {version}")
    sys.excepthook = _say_in_one_line


def stage() -> None:
    """Prepare this process where it was started as ``python -m PACKAGE.STAGE``; called by the packages of stages.

    A Python that cannot run it, a value of the environment that cannot work, a signal, or an unexpected OSError then
    ends it with one line, and no ``dvc exp run`` moves files of the checkout while the stage runs.
    """
    if sys.argv[0] != "-m":  # its value while Python is still looking for the module to run
        return
    python()
    from gradflow.guards import environment, interrupts, workspace  # noqa: PLC0415
    from gradflow.guards.errors import InputError  # noqa: PLC0415

    interrupts.end_at_once()
    try:
        environment.check()
    except InputError as error:
        error.show()
        sys.exit(error.exit_code)
    workspace.hold()
    # A stage runs for seconds, and most of its objects are created by imports and stay. Scanning them for garbage again
    # and again during the imports, and once more at the end, would take 0.3 s and more.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)


def _refuse(why: str) -> NoReturn:
    print(f"gradflow: {why}; {_REMEDY}", file=sys.stderr)
    sys.exit(2)


def _say_in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say which module this Python lacks, or what the system refused; anything else is a bug, and has its traceback."""
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] not in _OWN:
        _refuse(f"{sys.executable} has no module {error.name}")  # sys.excepthook may end the process
    else:
        from gradflow.guards.errors import say_what_the_system_refused  # noqa: PLC0415

        say_what_the_system_refused(kind, error, trace)
