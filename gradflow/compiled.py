"""The step of training in C (step.c), which the machine's C compiler makes into a library when it is first needed.

One call takes all seeds from a batch to their new weights, each seed within the core's cache; PyTorch's operations
carry every intermediate result of all seeds through memory instead. Where there is no compiler, on a GPU, and for
blocks that only autograd can train, :class:`gradflow.step.Step` takes the steps.
"""

import ctypes
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from math import inf
from pathlib import Path

import torch
from torch import Tensor

from gradflow import params, passes
from gradflow.errors import RunError
from gradflow.network import CLASSES, FEATURES, Network
from gradflow.step import Step
from gradflow.writing import replacing

_SOURCE = Path(__file__).with_name("step.c")
_WIDTHS = 16  # of which the width of the network is a multiple, as its tiles need
# What PyTorch itself found that this processor has.
_PROCESSOR = {
    "AVX512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"),
    "AVX2": ("-mavx2", "-mfma"),
}
_PATIENCE = 60  # seconds, for a compiler that takes one
_FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")


class _Parameter(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("momentum", ctypes.c_void_p),
        ("numbers", ctypes.c_long),
        ("stride", ctypes.c_long),
    )


class _Layer(ctypes.Structure):
    _fields_ = (("weight", _Parameter), ("bias", _Parameter), ("scale", ctypes.c_float), ("skip", ctypes.c_int))


class _Training(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.POINTER(_Layer)),
        *(
            (name, ctypes.c_long)
            for name in ("depth", "width", "features", "classes", "seeds", "rows", "batch", "steps")
        ),
        *((name, ctypes.c_float) for name in ("lr", "momentum", "clip_norm")),
        ("unbounded", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("alive", "loss_sum", "grad_norm", "valid", "done")),
    )


def can_train(network: Network) -> bool:
    """Whether C knows all that is needed to train a stacked network."""
    weight = network.stem.get_parameter("weight")
    return not weight.is_cuda and weight.shape[1] % _WIDTHS == 0 and passes.by_hand(network)


@cache
def library(*options: str) -> ctypes.CDLL | None:
    """What the compiler (``cc``, or CC of the environment) makes of step.c, kept beside the Python that runs.

    Args:
        options: Further ones for the compiler.

    Returns:
        None where there is no compiler, it fails, or what it makes cannot be kept.
    """
    processor = _PROCESSOR.get(torch.backends.cpu.get_cpu_capability(), ())
    source = _SOURCE.read_bytes()
    try:
        command = [*shlex.split(os.environ.get("CC") or "cc"), *_FLAGS, *processor, *options]
        name = hashlib.sha256(source + "\0".join(command).encode()).hexdigest()[:16]
        path = Path(sys.prefix, "lib", "gradflow", f"step-{name}.so")
        if not path.exists():
            with tempfile.TemporaryDirectory() as folder:
                made = Path(folder, path.name)
                build = [*command, "-o", str(made), str(_SOURCE), "-lm"]
                subprocess.run(  # noqa: S603  # CC is the user's own
                    build, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE
                )
                with replacing(path) as file:
                    file.write(made.read_bytes())
        found = ctypes.CDLL(str(path))
        pointer, number = ctypes.c_void_p, ctypes.c_long
        share = number, number, pointer
        found.scratch_size.argtypes, found.scratch_size.restype = (pointer,), number
        found.take_step.argtypes, found.take_step.restype = (*(pointer,) * 4, number, *share), ctypes.c_bool
        found.validate.argtypes, found.validate.restype = (
            (*(pointer,) * 3, number, *(pointer,) * 2, *share),
            ctypes.c_bool,
        )
    except (AttributeError, OSError, ValueError, subprocess.SubprocessError, RunError):
        return None
    return found


def fastest(network: Network, train_set: tuple[Tensor, Tensor], config: params.Train, steps: int) -> Step:
    """The fastest step that machine and network allow; for the arguments see :class:`gradflow.step.Step`."""
    found = library() if can_train(network) else None
    return Compiled(found, network, train_set, config, steps) if found else Step(network, train_set, config, steps)


class Compiled(Step):
    """A step that C takes, on what belongs to a :class:`gradflow.step.Step`: the same numbers but for rounding.

    Each thread takes some of the seeds. Squares are always summed in float64.
    """

    def __init__(
        self,
        found: ctypes.CDLL,
        network: Network,
        train_set: tuple[Tensor, Tensor],
        config: params.Train,
        steps: int,
    ) -> None:
        super().__init__(network, train_set, config, steps)
        self._library = found
        self._points, self._labels = _readable(train_set)
        self.sum_in = torch.float64
        moving = self._flat.parts(self._momentum)

        def parameter(value: Tensor) -> _Parameter:
            return _Parameter(value.data_ptr(), moving[value].data_ptr(), value[0].numel(), value.stride(0))

        def layer(linear: torch.nn.Module, scale: float = 1.0, *, skip: bool = False) -> _Layer:
            weight, bias = (parameter(linear.get_parameter(name)) for name in ("weight", "bias"))
            return _Layer(weight, bias, scale, skip)

        stem, *linears, head = network.linears()
        blocks = [
            layer(linear, block.relu_scale, skip=block.skip)  # type: ignore[arg-type]  # nn.Module's attributes
            for linear, block in zip(linears, network.blocks, strict=True)
        ]
        seeds, width, _ = stem.get_parameter("weight").shape
        self._training = _Training(
            (_Layer * (len(blocks) + 2))(layer(stem), *blocks, layer(head)),
            *(len(blocks), width, FEATURES, CLASSES, seeds),
            *(len(self._points), min(config.batch_size, len(self._points)), steps),
            *(config.lr, config.momentum, inf if config.clip_norm is None else config.clip_norm),
            self._unbounded,
            *(part.data_ptr() for part in (self.alive, self.loss_sum, self.grad_norm, self.valid, self._done)),
        )
        numbers = found.scratch_size(ctypes.byref(self._training))
        threads = min(torch.get_num_threads(), seeds)
        ends = [seeds * thread // threads for thread in range(threads + 1)]
        self._shares = [(*share, torch.zeros(numbers)) for share in pairwise(ends)]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __call__(self, rows: Tensor) -> None:
        """Train on a batch, given by the numbers of its rows."""
        if rows.dtype != torch.int64:
            raise ValueError(f"rows must be int64, got {rows.dtype}")
        points, labels = self._points, self._labels
        self._share(self._library.take_step, points.data_ptr(), labels.data_ptr(), rows.data_ptr(), len(rows))
        self._done += 1

    def validate(self, rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """See :meth:`gradflow.step.Step.validate`."""
        points, labels = _readable(rows)
        found = torch.empty(2, len(self.alive), dtype=torch.float64)
        places = (part.data_ptr() for part in found)
        self._share(self._library.validate, points.data_ptr(), labels.data_ptr(), len(points), *places)
        loss, accuracy = found
        return loss, accuracy

    def _share(self, function: Callable[..., bool], *arguments: int) -> None:
        """Call a function of the library for all seeds."""

        def run(share: tuple[int, int, Tensor]) -> bool:
            first, end, scratch = share
            return function(ctypes.byref(self._training), *arguments, first, end, scratch.data_ptr())

        if not all(self._pool.map(run, self._shares) if self._pool else map(run, self._shares)):
            raise IndexError("a row, a batch or a step is beyond those that the step was made for")


def _readable(rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Rows as C reads them, which trusts every label.

    Raises:
        ValueError: They are of another type, or a label is no class.
    """
    points, labels = rows
    if (points.dtype, labels.dtype) != (torch.float32, torch.int64):
        raise ValueError(f"points must be float32 and labels int64, got {points.dtype} and {labels.dtype}")
    if not ((labels >= 0) & (labels < CLASSES)).all():
        raise ValueError(f"labels must be from 0 to {CLASSES - 1}")
    return points.contiguous(), labels.contiguous()
