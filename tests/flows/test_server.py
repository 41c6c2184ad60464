"""The Prefect server that a flow starts for itself."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

START = """
from pipelines import server
with server.running(server.free_port(), "--no-ui") as address:
    print("answers at", address)
"""


def test_two_servers_that_start_at_once_make_the_database_one_after_the_other(fresh, prefect_env, started, tmp_path):
    """Prefect's own migrations fail when two servers apply them to a new database at the same time."""
    env = prefect_env | {"PREFECT_HOME": str(tmp_path / "new"), "PYTHONPATH": str(CHECKOUT)}
    both = [started(fresh, sys.executable, "-c", START, **env) for _ in range(2)]
    for process in both:
        assert process.wait(timeout=300) == 0, process.log.read_text()
        assert "answers at http://127.0.0.1:" in process.log.read_text()
