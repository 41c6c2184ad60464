"""A training that is stopped after any of its steps and goes on ends with the same bytes."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gradflow.guards.errors import InputError, RunError
from gradflow.guards.interrupts import Interrupt, StoppedError
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.training import compiled, trainer, unfinished
from gradflow.training.optimisers import Descent
from gradflow.training.step import Step
from gradflow.training.unfinished import Unfinished
from studies.identity import task as identity
from studies.identity.task import Identity
from studies.streams.induction import Induction
from studies.streams.params import Sequences
from tests import small

ROOT = Path(__file__).parents[1]


class Stopping(Unfinished):
    """Is told to stop after so many questions whether to save."""

    def __init__(self, path, after, pool):
        self.interrupt = Interrupt()
        super().__init__(path, 0, self.interrupt, pool)
        self.after = after

    def due(self):
        self.after -= 1
        if self.after == 0:
            self.interrupt.number = signal.SIGTERM
        return super().due()


def stopping(train, path, after):
    """Train, with a signal after so many steps; 0: with none."""
    with ThreadPoolExecutor(1) as pool:
        return train(Stopping(path, after, pool))


def two_classes(state, *, block="residual", width=8, scale=1.0, **changes):
    """A small training: weights and all that was recorded, as bytes."""
    network = small.network(block, 3, width, seeds=2, **({"scale": 0.7} if block == "residual" else {}))
    for parameter in network.parameters():
        parameter.data[1] *= scale
    options = {"batch_size": 20, "probe_rows": 16, "probe_every": 2}
    record, _ = small.train(network, unfinished=state, **(options | changes))
    return held(network, record)


def distant_identity(state, *, optimizer="adam", lr=0.01):
    """Likewise for the identity study."""
    network = small.network("plain", 3, 4, seeds=2, network="trunk")
    task = Identity(
        width=4,
        steps=8,
        batch_size=5,
        seed=0,
        probe_at=[3],
        instruments=["gradient_norms", "dead_units"],
        where=torch.device("cpu"),
    )
    step = compiled.fastest(network, task, Descent(optimizer, lr))
    record = trainer.train(step, task, report=lambda _: None, unfinished=state)
    return *held(network, record), task.at_the_end(network).numpy().tobytes()


def sequences(state):
    """Likewise for transformers that learn to copy."""
    about = Sequences(tokens=6, positions=5, shortest=2, longest=3, validation=8, seed=0)
    network = {"network": "transformer", "block": "pre", "depth": 2, "width": 8, "widths": None}
    network["settings"] = {"tokens": 6, "positions": 5, "heads": 2}
    network = stack(partial(build, network), seeds=2, init="gpt2", seed=0)
    task = Induction(about, steps=8, batch_size=4, every=2, seed=0)
    step = Step(network, task, Descent("adamw", 0.01, clip_norm=1.0, warmup=3))
    return held(network, trainer.train(step, task, report=lambda _: None, unfinished=state))


def held(network, record):
    """All that a training leaves."""
    tensors = [*network.parameters(), record.grad_norm, record.valid, record.history, *record.probes.values()]
    return [tensor.detach().numpy().tobytes() for tensor in tensors], list(record.probes), record.diverged


# Each with its steps; there are no more once all seeds have diverged.
TRAININGS = {
    "in C": (partial(two_classes, width=16), 9),
    "in C, one seed diverges": (partial(two_classes, width=16, clip_norm=None, lr=1.0, scale=3.0), 9),
    "by autograd": (two_classes, 9),
    "in C, each seed its own batches": (partial(two_classes, width=16, orders=2), 9),
    "by autograd, each seed its own batches": (partial(two_classes, orders=2), 9),
    "several linear maps": (partial(two_classes, block="linear_terminated"), 9),
    "no clipping": (partial(two_classes, clip_norm=None), 9),
    "gradients that nearly vanish": (partial(two_classes, block="plain", scale=1e-6), 9),
    "one seed diverges": (partial(two_classes, clip_norm=None, lr=1.0, scale=3.0), 9),
    "one seed diverges after the other": (partial(two_classes, clip_norm=None, lr=3.0, scale=10.0), 6),
    "adam": (partial(two_classes, optimizer="adam"), 9),
    "adamw": (partial(two_classes, block="highway", optimizer="adamw"), 9),
    "sequences": (sequences, 8),
    "the distant identity": (distant_identity, 8),
    "the distant identity, one seed diverges after the other": (partial(distant_identity, optimizer="sgd", lr=1e30), 3),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_stopped_after_any_step_ends_with_the_same_bytes(name, tmp_path, capsys):
    train, steps = TRAININGS[name]
    undisturbed = train(None)
    path = tmp_path / "state.npz"

    for after in range(1, steps + 1):
        with pytest.raises(StoppedError, match=r"SIGTERM: epoch \d of \d saved, `dvc repro` goes on"):
            stopping(train, path, after)
        assert stopping(train, path, 0) == undisturbed
        assert "going on from" in capsys.readouterr().out
        path.unlink()
    assert stopping(train, path, steps + 1) == undisturbed  # there is no further step
    assert stopping(train, path, 1) == undisturbed
    assert capsys.readouterr().out == "going on from the end of the training, which an earlier run saved\n"


@pytest.mark.parametrize("width", [8, 16])  # in PyTorch, in C
def test_a_training_stopped_after_each_of_its_steps_in_turn_ends_with_the_same_bytes(width, tmp_path):
    train = partial(two_classes, width=width)
    undisturbed = train(None)
    path = tmp_path / "state.npz"

    for _ in range(9):
        with pytest.raises(StoppedError):
            stopping(train, path, 1)
    assert stopping(train, path, 1) == undisturbed


@pytest.mark.parametrize("damage", ["empty", "cut", "a bit"])
def test_a_damaged_state_is_set_aside_with_a_warning_and_the_training_starts_over(damage, tmp_path, capsys):
    path = tmp_path / "state.npz"
    with pytest.raises(StoppedError):
        stopping(two_classes, path, 5)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "a bit": content}[damage])

    assert stopping(two_classes, path, 0) == two_classes(None)

    said = capsys.readouterr()
    assert said.err == f"gradflow: warning: {path}: is damaged, now called state.damaged; the training starts over\n"
    assert said.out == ""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state.damaged", "state.npz"]


@pytest.fixture
def clock(monkeypatch):
    """What trainings take for the time, in ``now``."""
    fake = SimpleNamespace(now=0.0)
    fake.monotonic = lambda: fake.now
    monkeypatch.setattr(unfinished, "time", fake)
    return fake


class Slow(dict):
    """A state whose copying takes a second."""

    def __init__(self, clock, **tensors):
        super().__init__(tensors)
        self.clock = clock

    def items(self):
        self.clock.now += 1
        return super().items()


def test_a_state_with_any_bit_flipped_is_refused(tmp_path):
    path = tmp_path / "state.npz"
    with pytest.raises(StoppedError):
        stopping(two_classes, path, 5)
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 61):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"^$"):
            unfinished._read(io.BufferedReader(io.BytesIO(damaged)))


def test_a_state_is_saved_each_time_the_interval_is_over_and_no_oftener(tmp_path, clock):
    path, state = tmp_path / "state.npz", {"number": torch.arange(3)}
    with ThreadPoolExecutor(1) as pool:
        kept = Unfinished(path, 5, Interrupt(), pool)
        for saving in (5, 10):
            clock.now = saving - 0.1
            assert not kept.due()
            clock.now = saving
            assert kept.due()
            kept.save(state, "epoch 1 of 2")
            assert not kept.due()
            state["number"] += 1  # the thread writes copies
            pool.submit(int).result()  # after the one before
    assert Unfinished(path, 0, Interrupt(), pool).read()["number"].tolist() == [1, 2, 3]


def test_a_state_is_not_saved_again_while_it_is_written(tmp_path, clock):
    with ThreadPoolExecutor(1) as pool:
        kept, disk = Unfinished(tmp_path / "state.npz", 5, Interrupt(), pool), Event()
        pool.submit(disk.wait)
        kept.save({"number": torch.arange(3)}, "epoch 1 of 2")
        clock.now = 5
        assert not kept.due()
        disk.set()
        pool.submit(int).result()
        assert kept.due()


def test_saving_takes_a_fiftieth_of_a_training_at_most(tmp_path, clock):
    with ThreadPoolExecutor(1) as pool:
        kept = Unfinished(tmp_path / "state.npz", 5, Interrupt(), pool)
        kept.save(Slow(clock, number=torch.arange(3)), "epoch 1 of 2")
        pool.submit(int).result()
        clock.now = 1 + 49.9
        assert not kept.due()
        clock.now = 1 + 50
        assert kept.due()


def test_a_state_that_cannot_be_saved_is_a_warning_once_and_a_lost_one_is_admitted(tmp_path, capsys):
    path = tmp_path / "state.npz"
    path.mkdir()  # nothing can take its place
    interrupt = Interrupt()
    with ThreadPoolExecutor(1) as pool:
        kept = Unfinished(path, 1, interrupt, pool)
        for _ in range(3):
            kept.save({"number": torch.arange(3)}, "epoch 1 of 9")
        interrupt.number = signal.SIGINT
        with pytest.raises(StoppedError) as stopped:
            kept.save({"number": torch.arange(3)}, "epoch 2 of 9")

    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"gradflow: warning: {path}: cannot be written (Is a directory)")
    assert stopped.value.message == "stopped by SIGINT: epoch 2 of 9 could not be saved, `dvc repro` starts it over"
    assert stopped.value.exit_code == 130


def test_a_signal_on_a_full_disk_tells_of_an_earlier_state(tmp_path, monkeypatch):
    interrupt = Interrupt()
    with ThreadPoolExecutor(1) as pool:
        kept = Unfinished(tmp_path / "state.npz", 1, interrupt, pool)
        kept.save({"number": torch.arange(3)}, "epoch 1 of 9")
        kept.save({"number": torch.arange(3)}, "epoch 1 of 9")  # waits for the first
        monkeypatch.setattr(unfinished, "_write", lambda *_: (_ for _ in ()).throw(RunError("no space")))
        interrupt.number = signal.SIGINT
        with pytest.raises(
            StoppedError, match="epoch 2 of 9 could not be saved, `dvc repro` goes on from what was saved"
        ):
            kept.save({"number": torch.arange(3)}, "epoch 2 of 9")


@pytest.mark.parametrize("changed", ["work", "rows", "code", "code of a study"])
def test_other_work_has_another_fingerprint(changed, tmp_path, monkeypatch):
    rows, code = tmp_path / "rows", tmp_path / "code.py"
    rows.write_bytes(b"1")
    code.write_bytes(b"1")
    monkeypatch.setattr(identity if changed == "code of a study" else trainer, "__file__", str(code))
    first = unfinished.fingerprint({"depth": 3}, {}, [rows])
    assert unfinished.fingerprint({"depth": 3}, {}, [rows]) == first

    {"work": tmp_path / "nothing", "rows": rows}.get(changed, code).write_bytes(b"2")
    assert unfinished.fingerprint({"depth": 4 if changed == "work" else 3}, {}, [rows]) != first


def leave(name):
    """Leave a state behind, as a training that fails does."""

    def fail():
        with unfinished.kept(name) as state:
            state.save({"number": torch.arange(3)}, "epoch 1 of 2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


@pytest.mark.parametrize("changed", ["processor", "compiled step"])
def test_a_state_of_other_circumstances_is_named_and_not_used(changed, checkout, tmp_path, capsys):
    library = tmp_path / "step.so"

    def name(processor, step):
        library.write_bytes(step)
        return unfinished.fingerprint({"depth": 3}, {"processor": processor}, made=[library])

    here, there = name("AVX2", b"1"), name("AVX512", b"1") if changed == "processor" else name("AVX2", b"2")
    leave(here)
    assert capsys.readouterr().out == ""
    with unfinished.kept(there) as state:
        assert state.read() is None
    assert re.match(
        "an earlier run saved a state with another kind of processor.* starts over", capsys.readouterr().out
    )
    with unfinished.kept(here) as state:
        assert state.read() is not None


def test_two_checkouts_may_share_the_folder_of_states(checkout, tmp_path_factory, monkeypatch):
    shared, other = (tmp_path_factory.mktemp(name) for name in ("shared", "other"))
    monkeypatch.setenv("GRADFLOW_STATES", str(shared))
    leave("own")
    assert [path.name for path in shared.iterdir()] == ["own.npz"] and not (checkout / unfinished.FOLDER).exists()
    monkeypatch.setenv("DVC_ROOT", str(other))
    with unfinished.kept("own") as state:
        assert np.array_equal(state.read()["number"], [0, 1, 2])


def test_a_fingerprint_knows_the_instruments_that_will_measure():
    """They are found by their names: the code of one that has not been imported yet would not count."""
    code = (
        "import sys, torch; from studies.identity.task import Identity;"
        "Identity(width=2, steps=1, batch_size=2, seed=0, probe_at=[], instruments=['telescoping'],"
        " where=torch.device('cpu'));"
        "assert 'gradflow.instruments.telescoping' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Where states lie, whatever lies above it."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def test_what_nobody_came_back_for_is_deleted(checkout, monkeypatch):
    monkeypatch.setattr(unfinished, "_KEPT_BYTES", 250)
    folder = checkout / unfinished.FOLDER
    folder.mkdir()
    now = time.time()
    for name, days in {"own": 20, "small": 0, "yesterday's": 1.5, "too many": 2, "old": 15}.items():
        (folder / f"{name}.npz").write_bytes(bytes(100))
        os.utime(folder / f"{name}.npz", (now - days * 86_400,) * 2)
    (folder / "moved.part").symlink_to(checkout / "nowhere")  # as if it vanished after it was listed

    with unfinished.kept("own"):
        assert {file.stem for file in folder.iterdir()} == {"own", "small", "yesterday's", "moved"}
    assert {file.stem for file in folder.iterdir()} == {"small", "yesterday's", "moved"}


def test_a_signal_after_the_last_state_ends_the_stage_too(checkout):

    def train():
        with unfinished.kept("own") as state:
            state.save({"number": torch.arange(3)}, "the end of the training")
            signal.raise_signal(signal.SIGTERM)
            (checkout / "output").touch()

    with pytest.raises(StoppedError) as stopped:
        train()
    assert (checkout / "output").exists()
    assert stopped.value.message == "stopped by SIGTERM: the training is done, `dvc repro` goes on from there"
    assert [path.name for path in (checkout / unfinished.FOLDER).iterdir()] == ["own.npz"]


def test_what_is_left_of_today_is_kept_however_large(checkout, monkeypatch):
    monkeypatch.setattr(unfinished, "_KEPT_BYTES", 250)
    folder = checkout / unfinished.FOLDER
    folder.mkdir()
    for name in ("large", "larger"):
        (folder / f"{name}.npz").write_bytes(bytes(1000))

    with unfinished.kept("own"):
        assert {file.stem for file in folder.iterdir()} == {"large", "larger"}


def test_a_state_stays_when_the_work_ends_with_an_error(checkout):
    leave("own")
    with unfinished.kept("own") as state:
        assert np.array_equal(state.read()["number"], [0, 1, 2])
    with unfinished.kept("own") as state:
        assert state.read() is None, "the work was done"


@pytest.mark.parametrize("seconds", ["-1", "1.5", "often", "86401", "٣"])
def test_an_interval_that_is_none_is_refused(seconds, checkout, monkeypatch):
    monkeypatch.setenv("GRADFLOW_SAVE_SECONDS", seconds)

    with pytest.raises(InputError) as refused, unfinished.kept("own"):
        pass

    rule = f"must be a whole number from 0 to 86400, got {seconds!r}"
    assert refused.value.message == f"environment: GRADFLOW_SAVE_SECONDS: {rule}"
