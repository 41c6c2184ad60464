"""Waiting for the tasks of a flow, and noticing a cancellation."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run

SECONDS_BETWEEN_LOOKS = 4


def all_finished(futures: Sequence[PrefectFuture[Any]]) -> bool:
    """Wait for all tasks; False as soon as the run is cancelled, through Prefect or with Ctrl-C.

    Prefect stops runs that it started; one started by hand it only marks, so this looks for the mark.
    """
    try:
        with get_client(sync_client=True) as client:
            while wait(list(futures), timeout=SECONDS_BETWEEN_LOOKS).not_done:
                with suppress(HTTPError):  # a server that is away for a moment ends no training
                    state = client.read_flow_run(UUID(flow_run.get_id())).state
                    if state and (state.is_cancelling() or state.is_cancelled()):
                        return False
    except KeyboardInterrupt:
        return False
    return True
