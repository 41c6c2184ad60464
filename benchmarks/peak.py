"""peak: float32 operations a second that one core reaches: in multiply-adds alone, and in a library's matrix products.

The library may choose a kernel that does not use all of the processor (OPENBLAS_CORETYPE, MKL on another maker's), so
only the former is a peak.
"""

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from timeit import repeat

import torch

SIZE = 1024
SOURCE = Path(__file__).with_name("peak.c")


def multiply_adds() -> float:
    """Of fused multiply-adds, compiled for this processor."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "peak")
        compiler = shlex.split(os.environ.get("CC") or "cc")
        command = [*compiler, "-O3", "-march=native", "-ffp-contract=fast", "-o", str(made), str(SOURCE)]
        subprocess.run(command, check=True)
        return float(subprocess.check_output([str(made)], text=True).split()[0])


def products() -> float:
    """Of the fastest of many matrix products."""
    torch.set_num_threads(1)
    a, b, product = torch.rand(3, SIZE, SIZE)
    return 2 * SIZE**3 / min(repeat(lambda: torch.mm(a, b, out=product), number=1, repeat=100))


if __name__ == "__main__":
    print(json.dumps({"multiply_adds": multiply_adds(), "products": products()}))
