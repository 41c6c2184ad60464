"""leash: run a command that never outlives whoever started it.

``python leash.py COMMAND...`` starts the command in a process group of its own and ends when it ends, with its exit
code. When standard input closes - because the other end was closed, or its process died in any way, kill -9
included - the whole group is ended: DVC alone would leave its shell and the training behind.

Standard library only, so that it starts in a few hundredths of a second.
"""

import os
import signal
import subprocess
import sys
import threading
import time

# What DVC needs to leave its locks and temporary folders in order; Prefect's own limit for a cancelled run is 30 s.
GRACE_SECONDS = 10.0


def main(command: list[str]) -> int:
    """Run the command and return its exit code, as a shell would give it (128 + n for signal n)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job inherits "ignore", and would pass it on
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603  # no shell

    def hold() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        _end(child.pid)

    threading.Thread(target=hold, daemon=True).start()
    code = child.wait()
    _end(child.pid)  # what the command left behind, e.g. a training whose DVC was killed
    return code if code >= 0 else 128 - code


def _end(group: int) -> None:
    """Interrupt a process group, as Ctrl-C does, and kill what is left of it after the grace period."""
    try:
        os.killpg(group, signal.SIGINT)
        patience = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < patience:
            os.killpg(group, 0)
            time.sleep(0.1)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:  # nobody left
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
