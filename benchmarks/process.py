"""Commands, each in a process of its own, timed from its start to its end."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
MODULE = (sys.executable, "-m")

# What others start with this Python first, and without settings of the user's that would change what is measured.
_SETTINGS = ("GRADFLOW_", "JAX_", "MKL_", "OMP_", "OPENBLAS_", "PREFECT_", "XLA_")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GRADFLOW_DEVICE": "cpu",
    "DVC_NO_ANALYTICS": "1",
}
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
}
# Products in float32, as PyTorch's are by default.
ON_GPU = {"JAX_PLATFORMS": "cuda", "JAX_DEFAULT_MATMUL_PRECISION": "highest"}


def timed(command: Sequence[object], folder: Path = CHECKOUT, *, pinned: bool = False, **env: str) -> tuple[float, str]:
    """Run a command to its end: seconds, and what it printed.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        pinned: Whether one core is all that it gets. Libraries have threads beside those that their settings name;
            on one core they cannot help.
        env: Further environment.

    Raises:
        RuntimeError: It failed; holds what it said.
    """
    words = [str(part) for part in command]
    cores = os.sched_getaffinity(0)
    if pinned:
        os.sched_setaffinity(0, {max(cores)})  # inherited by the process
    try:
        start = time.monotonic()
        done = subprocess.run(
            words,
            cwd=folder,
            env=ENVIRONMENT | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - start
    finally:
        os.sched_setaffinity(0, cores)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds, done.stdout
