"""How a flow ends when a task never ran."""

from concurrent.futures import Future
from uuid import uuid4

import pytest
from prefect.futures import PrefectConcurrentFuture

from gradflow.guards.errors import RunError
from pipelines.outcome import Kind, Outcome
from pipelines.run import check_all_ran


def test_what_never_ran_is_no_success_and_is_named_with_what_prefect_knows_of_it():
    futures = {name: PrefectConcurrentFuture(uuid4(), Future()) for name in "abcd"}
    ran = {name: Outcome(Kind.RAN) for name in "ad"}
    futures["b"].wrapped_future.set_exception(OSError("the database\nis locked"))
    with pytest.raises(RunError) as error:
        check_all_ran(ran, futures)
    said = "b and 1 more did not run, though nothing failed (OSError: the database is locked); run it again"
    assert error.value.message == said
    check_all_ran(ran | {name: Outcome(Kind.UNCHANGED) for name in "bc"}, futures)
