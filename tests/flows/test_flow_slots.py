"""How many stages run at once, and what each is told to use."""

import torch

from pipelines.slots import Slots


def shares(jobs=None):
    return Slots.of_machine(jobs).shares


def test_without_a_gpu_there_is_one_slot_a_core_each_with_one_thread(monkeypatch):
    for name in ("GRADFLOW_THREADS", "GRADFLOW_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 4})
    assert shares() == [{"GRADFLOW_THREADS": "1"}] * 3
    assert shares(jobs=5) == [{"GRADFLOW_THREADS": "1"}] * 5
    monkeypatch.setenv("GRADFLOW_THREADS", "2")
    assert shares(jobs=1) == [{"GRADFLOW_THREADS": "2"}]


def test_there_is_one_slot_a_gpu_with_that_gpu_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("GRADFLOW_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares()] == ["0", "1"]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares(jobs=1)] == ["0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares(jobs=8)] == ["3", "5"]
    monkeypatch.setenv("GRADFLOW_DEVICE", "cpu")
    assert not any("CUDA_VISIBLE_DEVICES" in share for share in shares())


def test_a_taken_slot_is_nobody_elses():
    slots = Slots([{"name": "a"}, {"name": "b"}])
    with slots.taken() as one, slots.taken() as other:
        assert {one["name"], other["name"]} == {"a", "b"}
    with slots.taken() as again:
        assert again["name"] in "ab"
