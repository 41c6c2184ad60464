"""Trainings, measured: beside the peers, with and without norms, beside the machine's best, larger and smaller."""

import json
from collections.abc import Iterable, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pyarrow.parquet as pq

from benchmarks.peers.job import Job
from benchmarks.process import MODULE, ON_GPU, ONE_THREAD, timed
from gradflow.params import catalogue

Row = dict[str, Any]

WARM_UP = 2  # epochs: compiling, first touch of memory
VARIANTS = ("plain", "residual")
PEERS = (
    ("recipe", 1),
    ("lightning_", 1),
    ("jax_", 1),
    ("jax_", 8),
    ("autograd", 8),
    ("gradflow_", 1),
    ("gradflow_", 8),
)
GPU_SEEDS = (1, 8, 64)
IN_JAX = ("highway", "prenorm", "rezero")  # written in JAX too; autograd trains the first two here, C the last one
WAYS = ("full", "bits", "sketch_32", "sketch_16", "checkpoint", "checkpoint_bits")
AXES = {
    "depth": (20, 40, 80, 160, 320, 640),
    "width": (16, 32, 64, 128, 256),
    "seeds": (1, 2, 4, 8, 16, 32, 64),
    "threads": (1, 2),
}


def in_turns(cases: Iterable[Any], turn: int) -> list[Any]:
    """The cases, every other time in reverse: what slows the machine down for a while meets all of them."""
    return list(cases)[:: -1 if turn % 2 else 1]


def job(
    peer: str,
    folder: Path,
    *,
    variants: Sequence[str] = VARIANTS,
    threads: int = 1,
    device: str = "cpu",
    made: bool = False,
    **options: object,
) -> list[Row]:
    """A peer's trainings, one after the other in one process.

    Args:
        peer: Module in :mod:`benchmarks.peers`.
        folder: That of the scaled rows; what the peer writes is there for a while.
        variants: What is trained.
        threads: More than one may use all cores, as may what trains on a GPU.
        device: ``cpu`` or ``cuda``.
        made: Whether the peer makes the rows itself, as it can without DVC.
        options: Command line of the peer.

    Returns:
        For each variant seconds a step and seed, and accuracy; seconds, share of a core, and memory are those of the
        whole process.
    """
    words = [f"--variant={variant}" for variant in variants]
    words += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    words += [] if made else [f"--data={folder}"]
    output = folder / "norms.csv"
    env = ONE_THREAD if threads == 1 else {"GRADFLOW_THREADS": str(threads)}
    env |= {} if device == "cpu" else ON_GPU
    alone = threads == 1 and device == "cpu"
    command = [*MODULE, f"benchmarks.peers.{peer}", *words, f"--device={device}", f"--output={output}"]
    seconds, printed = timed(command, pinned=alone, **env)
    found = json.loads(printed)
    assert output.stat().st_size, "a peer writes the norms"
    assert not alone or found["cpu"] < 1.05 * seconds, "more than one core has worked"
    output.unlink()
    whole = {"seconds": seconds, "cpu": found["cpu"] / seconds, "memory": found["memory"]}
    return [
        {
            "peer": peer,
            "variant": variant,
            "device": device,
            **options,
            "step": median(training["epochs"][WARM_UP:]) / training["steps_per_epoch"] / int(str(options["seeds"])),
            "accuracy": fmean(training["accuracy"]),
            "lowest": min(training["accuracy"]),
        }
        | whole
        for variant, training in found["trainings"].items()
    ]


def peers(data: Path, turn: int, *, quick: bool) -> list[Row]:
    """Each peer on both variants, with the flops of a step."""
    rows = {part: pq.read_metadata(data / f"{part}.parquet").num_rows for part in ("train", "val")}
    steps = -(-rows["train"] // Job.batch_size)
    flops = epoch_flops(rows["train"], rows["val"], Job.depth, Job.width) / steps
    if turn == 0:  # reading the libraries from the disk is nobody's work
        for peer in dict(PEERS):
            job(peer, data, seeds=1, epochs=WARM_UP + 1)
    return [
        row | {"flops": flops}
        for peer, seeds in in_turns(PEERS, turn)
        for row in job(peer, data, seeds=seeds, epochs=12 if quick else 100)
    ]


def blocks(data: Path, turn: int, *, quick: bool) -> list[Row]:
    """A network of each block with its default settings, and of some of them in JAX."""
    cases = [("gradflow_", block) for block in catalogue.names()] + [("jax_", block) for block in IN_JAX]
    epochs = WARM_UP + (1 if quick else 6)
    rows = [
        job(peer, data, variants=[block], epochs=epochs, seeds=2 if quick else 8)
        for peer, block in in_turns(cases, turn)
    ]
    return [row for own in rows for row in own]


def gpu(folder: Path, turn: int, *, quick: bool) -> list[Row]:
    """The peers on a GPU, and the engine on a core of the same machine."""
    cases = [("recipe", 1, "cuda")]
    cases += [(peer, seeds, "cuda") for peer in ("jax_", "gradflow_") for seeds in GPU_SEEDS]
    cases += [("gradflow_", 8, "cpu")]
    return [
        row
        for peer, seeds, device in in_turns(cases, turn)
        for row in job(peer, folder, device=device, made=True, seeds=seeds, epochs=5 if quick else 30)
    ]


def peak() -> list[Row]:
    """What one core can do."""
    return [json.loads(timed([*MODULE, "benchmarks.peak"], pinned=True, **ONE_THREAD)[1])]


def logging(data: Path, turn: int, *, quick: bool) -> list[Row]:
    """The engine with and without the norms of the layers."""
    command = [*MODULE, "benchmarks.norms", f"--data={data}", f"--pairs={5 if quick else 60}"]
    return [
        json.loads(timed([*command, f"--seeds={seeds}"], pinned=True, **ONE_THREAD)[1]) | {"seeds": seeds}
        for seeds in in_turns((1, 8), turn)
    ]


def saving(data: Path, turn: int, *, quick: bool) -> list[Row]:
    """The engine with and without saving its state, as often as it does by default."""
    command = [*MODULE, "benchmarks.saving", f"--data={data}", f"--pairs={2 if quick else 10}"]
    return [
        json.loads(timed([*command, f"--seeds={seeds}"], pinned=True, **ONE_THREAD)[1]) | {"seeds": seeds}
        for seeds in in_turns((1, 8), turn)
    ]


def kept(turn: int, *, quick: bool) -> list[Row]:
    """What a process takes for the backward pass, by each way of keeping less, and with two settings of malloc.

    By default malloc keeps what is freed; with a threshold below the size of a stream, 32 KiB, the system gets it back.
    """
    depth = 320 if quick else 2560
    rows = []
    for way, threshold in in_turns([(way, each) for way in WAYS for each in ("", "16384")], turn):
        malloc = {"MALLOC_MMAP_THRESHOLD_": threshold} if threshold else {}
        command = [*MODULE, "benchmarks.kept", f"--way={way}", f"--depth={depth}"]
        found = json.loads(timed(command, **ONE_THREAD, **malloc)[1])
        rows.append({"way": way, "threshold": threshold or "default", "depth": depth, **found})
    return rows


def routed(turn: int, *, quick: bool) -> list[Row]:
    """Networks that skip blocks beside whole ones, with only the rows gathered that go through a block."""
    cases = [(width, batch, share) for width in (64, 1024) for batch in (1, 512) for share in (0.25, 0.5, 1.0)]
    rows = []
    for width, batch, share in in_turns(cases, turn):
        sizes = [f"--width={width}", f"--batch={batch}", f"--share={share}", f"--pairs={2 if quick else 20}"]
        found = json.loads(timed([*MODULE, "benchmarks.routed", *sizes], pinned=True, **ONE_THREAD)[1])
        rows.append({"width": width, "batch": batch, "share": share, **found})
    return rows


def scaling(data: Path, turn: int, *, quick: bool) -> list[Row]:
    """The engine along each axis; residual blocks are scaled by 1/sqrt(depth), so that all depths train."""
    rows = []
    for axis, value in in_turns([(axis, value) for axis, values in AXES.items() for value in values], turn):
        if quick and value > {"depth": 80, "width": 128, "seeds": 16}.get(axis, value):
            continue
        shape = {"depth": 20, "width": 64, "seeds": 8, "threads": 1} | {axis: value}
        scale = 1 / sqrt(shape["depth"])
        [row] = job("gradflow_", data, variants=["residual"], epochs=WARM_UP + 4, scale=scale, **shape)
        rows.append(row | {"axis": axis, **shape})
    return rows


def epoch_flops(train: int, val: int, depth: int, width: int) -> int:
    """Floating-point operations in the matrix products of an epoch of one seed: training rows and validation rows.

    Forward, gradient of the weights, gradient of the inputs; that of the stem's inputs is not needed.
    """
    blocks, end = 2 * depth * width**2, 2 * 2 * width
    return train * (3 * blocks + 3 * end + 2 * end) + val * (blocks + 2 * end)
