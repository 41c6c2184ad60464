"""The step of training in C (step.c), which the machine's C compiler makes into a library when it is first needed.

One call takes all seeds from a batch to their new weights, each seed within the core's cache; PyTorch's operations
carry every intermediate result of all seeds through memory instead. Where there is no compiler, on a GPU, and for
blocks that only autograd can train, :class:`gradflow.training.step.Step` takes the steps.
"""

import ctypes
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.func import functional_call

from gradflow.files.writing import replacing
from gradflow.guards.errors import RunError
from gradflow.kit.block import Block
from gradflow.kit.layers import StackedLinear
from gradflow.kit.network import Network
from gradflow.networks import mlp
from gradflow.training.optimisers import Descent
from gradflow.training.probe import COLUMNS
from gradflow.training.rows import Labelled, Rows
from gradflow.training.step import Step
from gradflow.training.task import Task

_SOURCE = Path(__file__).with_name("step.c")
_WIDTHS = 16  # of which the width of the network is a multiple, as its tiles need
# Flags for what PyTorch finds that this processor has.
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
    _fields_ = (
        *((name, _Parameter) for name in ("weight", "bias", "factor")),
        ("scale", ctypes.c_float),
        ("skip", ctypes.c_int),
    )


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


def can_train(network: Network, task: Task, config: Descent) -> bool:
    """Whether C knows all that is needed: SGD in float32, rows of two classes, the perceptron of known blocks alone."""
    if not (isinstance(network, mlp.Network) and isinstance(task, Rows)) or network.mixing is not None:
        return False
    if (config.optimizer, config.precision, config.loss_scale) != ("sgd", "float32", 1.0):
        return False
    weights = [each.weight for each in network.linear_maps()]
    widths = {weight.shape[-2] for weight in weights[:-1]}
    whole = len(widths) == 1 and all(width % _WIDTHS == 0 for width in widths)
    return whole and not weights[0].is_cuda and all(_is_known(block) for block in network.blocks)


@torch.no_grad()
def _is_known(block: torch.nn.Module) -> bool:
    """Whether a block is ``relu_scale * relu(linear(x))``, plus ``x`` where that is carried, and no more.

    The scale may be a parameter, one number a seed. This is tried on a few inputs: a block that says ``relu_scale`` but
    computes something else is left to autograd.
    """
    if not (isinstance(block, Block) and hasattr(block, "relu_scale")):
        return False
    linear, scale = dict(block.named_children()).get("linear"), cast("float | Tensor", block.relu_scale)
    others: dict[str, Tensor] = {
        name: each for name, each in block.named_parameters() if not name.startswith("linear.")
    }
    if linear is None or {*others.values()} != ({scale} if isinstance(scale, Tensor) else set()):
        return False
    if type(linear) not in (torch.nn.Linear, StackedLinear):  # another may find its gradient in a way of its own
        return False
    weight = linear.get_parameter("weight")
    *seeds, width, _ = weight.shape
    rows = torch.linspace(-1.0, 1.0, 4 * width, dtype=weight.dtype, device=weight.device).view(4, width)
    x = torch.cat([rows, 1e3 * rows]).expand(*seeds, 8, width)  # large ones too: a branch may be bounded
    if isinstance(scale, Tensor):  # which may be 0 now, and then hides what stands behind it
        if scale.shape != (*seeds, 1, 1):
            return False
        scale = torch.linspace(-1.5, 0.5, scale.numel(), dtype=x.dtype, device=x.device).view_as(scale)  # or below 0
        others = dict.fromkeys(others, scale)
    branch = scale * torch.relu(linear(x))
    found = functional_call(block, others, (x,))
    return torch.allclose(found, branch if block.carry(x) is None else x + branch, equal_nan=True)


@cache
def library(*options: str) -> ctypes.CDLL | None:
    """The library that the compiler (``cc``, or CC of the environment) makes from step.c, kept beside Python's own.

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
        found.take_step.argtypes, found.take_step.restype = (*(pointer,) * 4, number, number, *share), ctypes.c_bool
        on_rows = (*(pointer,) * 3, number, *(pointer,) * 2, *share)
        found.validate.argtypes, found.validate.restype = on_rows, ctypes.c_bool
        found.probe.argtypes, found.probe.restype = on_rows, ctypes.c_bool
    except (AttributeError, OSError, ValueError, subprocess.SubprocessError, RunError):
        return None
    return found


def fastest(network: Network, task: Task, config: Descent) -> Step:
    """The fastest step that machine, network and task allow."""
    if can_train(network, task, config) and (found := library()):
        assert isinstance(network, mlp.Network) and isinstance(task, Rows)
        return Compiled(found, network, task, config)
    return Step(network, task, config)


class Compiled(Step):
    """A step that C takes: the same numbers but for rounding. Each thread takes some of the seeds."""

    engine = "C"

    def __init__(self, found: ctypes.CDLL, network: mlp.Network, task: Rows, config: Descent) -> None:
        super().__init__(network, task, config)
        self._library, self.made = found, [Path(found._name)]
        self._points, self._labels = _readable(task.train)
        self._validation = _readable(task.validation)
        moving = self._flat.parts(self._optimiser.state)

        def parameter(value: Tensor) -> _Parameter:
            return _Parameter(value.data_ptr(), moving[value].data_ptr(), value[0].numel(), value.stride(0))

        def layer(linear: torch.nn.Module, scale: float | Tensor = 1.0, *, skip: bool = False) -> _Layer:
            weight, bias = (parameter(linear.get_parameter(name)) for name in ("weight", "bias"))
            if isinstance(scale, Tensor):
                return _Layer(weight, bias, parameter(scale), skip=skip)
            return _Layer(weight, bias, scale=scale, skip=skip)

        stem, *linears, head = (each.module for each in network.linear_maps())
        seeds, width, _ = stem.get_parameter("weight").shape
        nothing = self._points.new_empty(seeds, 0, width)
        blocks = [
            layer(linear, block.relu_scale, skip=block.carry(nothing) is not None)  # type: ignore[arg-type, operator]  # nn.Module's attributes
            for linear, block in zip(linears, network.blocks, strict=True)
        ]
        self._training = _Training(
            (_Layer * (len(blocks) + 2))(layer(stem), *blocks, layer(head)),
            *(len(blocks), width, mlp.FEATURES, mlp.CLASSES, seeds),
            *(len(self._points), task.batch_size, task.epochs * task.steps),
            *(config.lr, config.momentum, inf if config.clip_norm is None else config.clip_norm),
            self._unbounded,
            *(part.data_ptr() for part in (self.alive, self.loss_sum, self.grad_norm, self.valid, self._done)),
        )
        threads = min(torch.get_num_threads(), seeds)
        self._seeds = [*pairwise(seeds * thread // threads for thread in range(threads + 1))]
        self._scratch = self._memory(self._training)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __call__(self, batch: Tensor) -> None:
        """Train on a batch, given by the numbers of its rows, see :meth:`gradflow.training.rows.Rows.batches`."""
        if batch.dtype != torch.int64 or batch.shape[1:] not in ((), self.alive.shape):
            wanted = f"(batch,) or (batch, {len(self.alive)})"
            raise ValueError(f"rows must be int64 {wanted}, got {batch.dtype} {tuple(batch.shape)}")
        if self._config.warmup:
            self._training.lr = self._config.lr * min(1.0, (int(self._done) + 1) / self._config.warmup)
        points, labels = self._points.data_ptr(), self._labels.data_ptr()
        rows = batch.movedim(0, -1).contiguous()
        apart = len(batch) if batch.ndim > 1 else 0
        self._share(self._library.take_step, self._training, points, labels, rows.data_ptr(), len(batch), apart)
        self._done += 1

    def measure(self) -> Tensor:
        """See :meth:`gradflow.training.rows.Rows.measure`."""
        points, labels = self._validation
        found = torch.empty(2, len(self.alive), dtype=torch.float64)
        places = (part.data_ptr() for part in found)
        rows = points.data_ptr(), labels.data_ptr(), len(points)
        self._share(self._library.validate, self._training, *rows, *places)
        return found.mT

    def probe(self, points: Tensor, targets: Tensor) -> Tensor:
        """See :func:`gradflow.training.probe.probe`."""
        points, labels = _readable((points, targets))
        training = _Training.from_buffer_copy(self._training)  # which keeps alive what it points to
        training.batch = len(points)
        depth, norms = training.depth, torch.empty(self.grad_norm.shape[1:])
        found = torch.empty(len(self.alive), depth, len(COLUMNS), dtype=torch.float64)
        places = points.data_ptr(), labels.data_ptr(), len(points), found.data_ptr(), norms.data_ptr()
        self._share(self._library.probe, training, *places, scratch=self._memory(training))
        return found

    def _memory(self, training: _Training) -> list[Tensor]:
        """Scratch memory for each thread."""
        numbers = self._library.scratch_size(ctypes.byref(training))
        return [torch.zeros(numbers) for _ in self._seeds]

    def _share(
        self,
        function: Callable[..., bool],
        training: _Training,
        *arguments: int,
        scratch: Sequence[Tensor] | None = None,
    ) -> None:
        """Call a function of the library for all seeds."""

        def run(seeds: tuple[int, int], memory: Tensor) -> bool:
            return function(ctypes.byref(training), *arguments, *seeds, memory.data_ptr())

        shares = self._seeds, scratch or self._scratch
        if not all(self._pool.map(run, *shares) if self._pool else map(run, *shares)):
            raise IndexError("a row, a batch or a step is beyond those that the step was made for")


def _readable(rows: Labelled) -> Labelled:
    """Rows as C reads them, which trusts every label.

    Raises:
        ValueError: They are of another type, or a label is no class.
    """
    points, labels = rows
    if (points.dtype, labels.dtype) != (torch.float32, torch.int64):
        raise ValueError(f"points must be float32 and labels int64, got {points.dtype} and {labels.dtype}")
    if not ((labels >= 0) & (labels < mlp.CLASSES)).all():
        raise ValueError(f"labels must be from 0 to {mlp.CLASSES - 1}")
    return points.contiguous(), labels.contiguous()
