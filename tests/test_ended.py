"""What tests have started ends with them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TEST = """
import sys
import time
from pathlib import Path
from tests.conftest import Project

def test_that_waits(started, tmp_path):
    process = started(Project(tmp_path, {}), sys.executable, "-c", "import time; time.sleep(600)")
    Path(__file__).with_name("pid").write_text(str(process.pid))
    time.sleep(600)
"""


def test_a_test_run_that_is_terminated_ends_what_its_tests_have_started(tmp_path, eventually):
    (tmp_path / "test_waiting.py").write_text(TEST, encoding="utf-8")
    command = ["-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'temp'}"]
    process = subprocess.Popen(
        [sys.executable, *command, f"--rootdir={tmp_path}", tmp_path / "test_waiting.py"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        file = tmp_path / "pid"
        pid = eventually(lambda: file.exists() and file.read_text(encoding="utf-8"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == pytest.ExitCode.INTERRUPTED
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    finally:
        process.kill()
        process.wait()
