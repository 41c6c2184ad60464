"""What the tasks of a flow run share, and how they end."""

import atexit
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from httpx import HTTPError
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Completed, Failed
from prefect.tasks import Task

from gradflow.guards.errors import InputError, RunError
from pipelines import server
from pipelines.outcome import Kind, Outcome
from pipelines.processes import Processes
from pipelines.slots import Slots

# What DVC says at the end to somebody who runs it by hand
_PARTING_ADVICE = ("To track the changes with git", "To apply the results", "Use `dvc push`")


@dataclass(frozen=True)
class Run:
    """One run of a flow.

    Attributes:
        folder: The pipeline's.
        root: The DVC repository's.
        processes: Run DVC's commands, which end with the run.
        slots: Where they run.
        outcomes: Name of what has ended to its outcome.
    """

    folder: Path
    root: Path
    processes: Processes
    slots: Slots
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def dvc(
        self,
        arguments: Sequence[str],
        cwd: Path,
        on_line: Callable[[str], None],
        judge: Callable[[int, Sequence[str]], Outcome],
    ) -> Outcome:
        """Run a command of DVC in a slot, its lines in the log of the task.

        Args:
            arguments: What follows ``dvc``.
            cwd: Where it runs.
            on_line: Called with each line.
            judge: From exit code and lines to the outcome.

        Raises:
            RunEndedError: The run ended first.
        """
        log, worth_logging = get_run_logger(), True

        def tell(line: str) -> None:
            nonlocal worth_logging
            worth_logging &= not line.startswith(_PARTING_ADVICE)
            if line and worth_logging:
                log.info("%s", line)
            on_line(line)

        with self.slots.taken() as share:
            start = time.monotonic()
            code, lines = self.processes.run(["--wait-for-lock", *arguments], cwd, share, tell)
            return replace(judge(code, lines), seconds=time.monotonic() - start)

    def end(self, name: str, result: Outcome) -> State[None]:
        """Note an outcome; returns the final state of the task run, whose name then tells it in the graph too."""
        self.outcomes[name] = result
        context = TaskRunContext.get()
        assert context is not None
        context.task_run.name = f"{name} ({result.kind.lower()})"
        make = Failed if result.kind.failed else Completed
        return make(name=result.kind.value, message=result.line or None)


def can_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is worth another try: when a lock or a server was busy, never for bad input."""
    return state.name == Kind.BUSY


def failure(outcomes: Mapping[str, Outcome]) -> RunError | None:
    """The failures of a run in one line, if there are any; an InputError when only the input is to blame."""
    failed = {name: result for name, result in outcomes.items() if result.kind.failed}
    lines = [f"{name}: {result.line.removeprefix('gradflow: ')}" for name, result in failed.items()]
    if failed and all(result.code == InputError.exit_code for result in failed.values()):
        return InputError(*"; ".join(lines).split(": ", 1))
    return RunError("; ".join(lines)) if failed else None


def check_all_ran(outcomes: Mapping[str, Outcome], futures: Mapping[str, PrefectFuture[Any]]) -> None:
    """Check that no task is without an outcome: Prefect may end one, with all that wait for it, that it never ran.

    Args:
        outcomes: By name.
        futures: Likewise, each after those that it waited for.

    Raises:
        RunError: Some are; says what Prefect knows of the first.
    """
    lost = [name for name in futures if name not in outcomes]
    if not lost:
        return
    why = ""
    try:
        futures[lost[0]].result(raise_on_failure=False)
    except Exception as error:
        why = f" ({type(error).__name__}: {' '.join(str(error).split())})"
    others = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    raise RunError(f"{lost[0]}{others} did not run, though nothing failed{why}; run it again")


@contextmanager
def by_hand(if_cancelled: str) -> Iterator[None]:
    """Around a flow that somebody started by hand: report in one line what ended it without a result.

    Raises:
        RunError: The run was cancelled, or Prefect's server cannot be used.
    """
    server.ask_no_proxy()
    gc.freeze()  # imported objects stay: do not scan them for garbage while DVC reads its files
    own = ExitStack()
    atexit.register(own.close)  # Prefect's threads still tell the server of the run when this process ends
    try:
        address = PREFECT_API_URL.value()  # none: there is one for this run
        if not address:
            address = own.enter_context(server.running(server.free_port(), "--no-ui"))
        elif get_client(sync_client=True).api_healthcheck():
            raise RunError(f"no Prefect server answers at {address}; start it, or unset PREFECT_API_URL")
        # Between heartbeats a thread naps for a second at a time, and the end of a run waits for the end of a nap.
        with temporary_settings({PREFECT_API_URL: address, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    except CancelledRun:
        raise RunError(if_cancelled) from None
    except HTTPError as error:
        raise RunError(f"Prefect's server: {str(error).splitlines()[0]}") from None
