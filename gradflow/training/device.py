"""Where the arithmetic runs: GRADFLOW_DEVICE (cpu or cuda) and GRADFLOW_THREADS, from the environment."""

import platform

import numpy as np
import torch

from gradflow.guards import environment
from gradflow.guards.errors import InputError


def from_environment() -> tuple[torch.device, int]:
    """Choose the device (default: CUDA where there is one) and set the number of CPU threads (default: 1).

    One thread is the default because stages that run side by side then do not take each other's cores, and because
    PyTorch's results then do not depend on how many do.

    Raises:
        InputError: A variable has no usable value, or CUDA is asked for where there is none.
    """
    name = environment.device() or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("environment: GRADFLOW_DEVICE", "must be cpu where PyTorch finds no GPU, got 'cuda'")
    threads = environment.threads() or 1
    torch.set_num_threads(threads)
    return torch.device(name), threads


def circumstances(where: torch.device, threads: int) -> dict[str, object]:
    """What may change the last digits of a result but is no parameter: device, threads, versions of libraries."""
    versions = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    return {"device": where.type, "threads": threads, "versions": versions}


def processor(where: torch.device) -> str:
    """The kind of processor: on another one sums may round differently."""
    return torch.cuda.get_device_name(where) if where.type == "cuda" else torch.backends.cpu.get_cpu_capability()
