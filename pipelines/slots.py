"""How many stages run at once, and what each may use."""

import os
import queue
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self


class Slots:
    """Places to run in: as many as may run at once, each with the environment variables of its share."""

    def __init__(self, shares: list[dict[str, str]]) -> None:
        """``shares``: one set of environment variables a slot."""
        self.shares = shares
        self._free: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()
        for share in shares:
            self._free.put(share)

    @classmethod
    def of_machine(cls, jobs: int | None) -> Self:
        """One slot a GPU, or on a machine without one a slot for each of ``jobs`` (default: the cores).

        A stage computes with one CPU thread unless GRADFLOW_THREADS says otherwise.
        """
        threads = os.environ.get("GRADFLOW_THREADS") or "1"
        gpus = [] if os.environ.get("GRADFLOW_DEVICE") == "cpu" else _gpus()
        if gpus:
            return cls([{"GRADFLOW_THREADS": threads, "CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus[:jobs]])
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls([{"GRADFLOW_THREADS": threads}] * (jobs or cores))

    @contextmanager
    def taken(self) -> Iterator[Mapping[str, str]]:
        """Wait for a free slot and hold it; yields its environment variables."""
        share = self._free.get()
        try:
            yield share
        finally:
            self._free.put(share)


def _gpus() -> list[str]:
    """The GPUs that PyTorch finds, as CUDA_VISIBLE_DEVICES names them."""
    if not shutil.which("nvidia-smi"):  # no driver: not worth the seconds that importing torch takes
        return []
    import torch  # noqa: PLC0415  # seconds, see above

    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = allowed.split(",") if allowed else [str(n) for n in range(torch.cuda.device_count())]
    return names[: torch.cuda.device_count()]
