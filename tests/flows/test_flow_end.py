"""How a flow ends when a task never ran."""

import pytest

from gradflow.guards.errors import RunError
from pipelines.outcome import Kind, Outcome
from pipelines.run import check_all_ran


def test_what_never_ran_is_no_success():
    ran = {"a": Outcome(Kind.RAN), "d": Outcome(Kind.UNCHANGED)}
    check_all_ran(ran, ["a", "d"])
    with pytest.raises(RunError) as error:
        check_all_ran(ran, ["a", "b", "c", "d"])
    assert error.value.message == "b and 1 more did not run, though nothing failed; run it again"
