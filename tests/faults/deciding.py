"""A process that runs stages one after another, each in a folder, and says how it ended and what it cost.

One line of JSON in: the folder, the module in stages/, its arguments. One line out: exit code, standard output and
error, the traceback if there was one, seconds of CPU time, and the most memory that this process has had so far, in MB.
"""

import importlib
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

from click.testing import CliRunner


def _give_up(*_: object) -> None:
    raise TimeoutError("takes longer than 10 s")


signal.signal(signal.SIGALRM, _give_up)
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
for line in sys.stdin:
    folder, stage, arguments = json.loads(line)
    os.chdir(folder)
    main = importlib.import_module(f"stages.{stage}").main
    start = time.process_time()
    signal.alarm(10)
    done = CliRunner().invoke(main, arguments)
    signal.alarm(0)
    seconds = time.process_time() - start
    unexpected = done.exception and not isinstance(done.exception, SystemExit)
    said = {
        "code": done.exit_code,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "traceback": "".join(traceback.format_exception(*done.exc_info)) if unexpected else "",
        "seconds": seconds,
        "megabytes": int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024,
    }
    print(json.dumps(said), flush=True)
