"""Training: divergence, clipping, independence of seeds, repeatability, checkpoints."""

import math
import warnings

import pytest
import torch

from gradflow import checkpoints
from gradflow.guards.errors import RunError
from gradflow.training import compiled, trainer
from gradflow.training import step as step_module
from gradflow.training.step import Step
from tests import small
from tests.small import moons, network, train


@pytest.fixture(params=["PyTorch", "C"])
def engine(request, monkeypatch):
    """Who takes the steps."""
    if request.param == "PyTorch":
        monkeypatch.setattr(compiled, "fastest", Step)
    else:
        assert compiled.library(), "there is a C compiler"


both = pytest.mark.usefixtures("engine")


@both
def test_record_has_a_norm_for_every_layer_seed_and_step():
    record, epochs = train(network())
    assert record.steps_per_epoch == 4  # 50 rows in batches of 16, the last one smaller
    assert record.grad_norm.shape == (12, 3, 6)
    assert record.valid.all() and record.grad_norm.isfinite().all() and (record.grad_norm > 0).all()
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert list(record.probes) == [0, 1, 2, 3]
    names = ["stem", "block_1", "block_2", "block_3", "block_4", "head"]
    assert record.maps == list(enumerate(names))


@both
def test_probe_every_other_epoch_keeps_the_first_and_the_last():
    record, _ = train(network(), probe_every=2)
    assert list(record.probes) == [0, 2, 3]


@both
def test_same_call_gives_the_same_bits():
    first, second = network(), network()
    a, b = train(first)[0], train(second)[0]
    assert torch.equal(a.grad_norm, b.grad_norm) and torch.equal(a.history, b.history)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))


@both
def test_seeds_do_not_touch_each_other():
    few, _ = train(network(seeds=1))
    many, _ = train(network(seeds=3))
    torch.testing.assert_close(few.grad_norm[:, 0], many.grad_norm[:, 0], rtol=1e-4, atol=1e-7)


@both
def test_each_seed_may_have_an_order_of_its_own_in_which_it_trains_as_it_would_alone():
    together, _ = train(network(seeds=3), seed=5, orders=3)
    for seed in range(3):
        stack = network(seeds=3)
        shared, _ = train(stack, seed=5 + seed)
        torch.testing.assert_close(together.grad_norm[:, seed], shared.grad_norm[:, seed], rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(together.history[:, seed], shared.history[:, seed], rtol=1e-4, atol=1e-7)
        assert not torch.allclose(together.grad_norm[:, (seed + 1) % 3], shared.grad_norm[:, (seed + 1) % 3], rtol=1e-2)


def test_batches_of_an_epoch_hold_every_row_once_for_each_seed():
    for epoch in small.task(orders=3).batches(1):
        rows = torch.cat([*epoch])
        assert [len(batch) for batch in epoch] == [16, 16, 16, 2] and rows.shape == (50, 3)
        assert torch.equal(rows.sort(0).values, torch.arange(50).unsqueeze(1).expand(50, 3))
        assert not torch.equal(rows[:, 0], rows[:, 1])


@both
def test_an_overflowing_seed_is_frozen_and_the_others_go_on():
    # One seed starts with weights so large that its loss overflows in the first forward pass.
    broken, whole = network(), network()
    with torch.no_grad():
        broken.head.weight[1] = 3e38
    weights = {name: value[1].clone() for name, value in broken.state_dict().items()}
    record, epochs = train(broken)
    untouched, _ = train(whole)
    assert record.diverged == {1: (1, 1)}
    assert not record.valid[:, 1].any() and record.valid[:, [0, 2]].all()
    assert record.history[:, 1].isnan().all()
    assert all(probe[1].isnan().all() and probe[[0, 2], :, 0].isfinite().all() for probe in record.probes.values())
    assert all(torch.equal(weights[name], value[1]) for name, value in broken.state_dict().items())
    torch.testing.assert_close(record.grad_norm[:, [0, 2]], untouched.grad_norm[:, [0, 2]])
    assert [epoch.training for epoch in epochs] == [2, 2, 2]
    assert math.isfinite(epochs[-1].means[0])


@both
def test_a_loss_that_overflows_counts_although_its_gradient_is_finite():
    stack = network()
    with torch.no_grad():  # logits further apart than float32 reaches: all rows of one class are infinitely wrong
        stack.head.bias[1] = torch.tensor([3e38, -3e38])
    step = small.step(stack)
    step(torch.arange(16))
    assert step.valid[0].tolist() == [True, False, True]
    assert step.grad_norm[0, 1].isfinite().all()


@both
def test_a_gradient_that_overflows_counts_although_the_loss_is_finite():
    # In seed 1 the branch adds little, but its huge factor multiplies the gradient; in seed 0 the
    # ReLU is closed. The rows of the probe are zero, so that only the step itself can notice.
    stack = network(depth=1, seeds=2, scale=3e38)
    points, labels = moons()
    points = torch.cat([torch.zeros(32, 2), points[32:] * 0.1])
    with torch.no_grad():
        stack.stem.bias.zero_()
        stack.blocks[0].linear.weight.zero_()
        stack.blocks[0].linear.bias[:] = torch.tensor([[-1.0], [2e-38]])
        stack.head.weight[:] = torch.tensor([[5.0], [-5.0]])
    assert torch.isfinite(small.task().losses(stack(points.expand(2, -1, -1)), labels)).all()
    record, _ = train(stack, (points, labels), epochs=1, batch_size=50)
    assert record.diverged == {1: (1, 1)}
    assert record.valid.tolist() == [[True, False]]


@both
def test_recipe_without_clipping_diverges_and_keeps_finite_weights():
    record, epochs = train(network(depth=20, scale=1.0), clip_norm=None, lr=1.0)
    assert set(record.diverged) == {0, 1, 2}
    assert len(epochs) == record.diverged[max(record.diverged, key=record.diverged.get)][0]  # nothing left to train
    for seed, (epoch, step) in record.diverged.items():
        valid = record.valid[:, seed].tolist()
        assert valid.index(False) + 1 == step and not any(valid[step - 1 :])
        assert (step - 1) // record.steps_per_epoch + 1 == epoch
        assert record.grad_norm[: step - 1, seed].isfinite().all()


@both
@pytest.mark.parametrize(("lr", "clip_norm"), [(1.0, None), (1e4, None), (3e38, None), (1e4, 1e38), (3e38, 1.0)])
def test_a_frozen_seed_keeps_finite_weights_however_large_the_step(lr, clip_norm):
    stack = network(depth=20, scale=1.0 if clip_norm is None else 1e3, seeds=1)
    train(stack, clip_norm=clip_norm, lr=lr)
    assert all(parameter.isfinite().all() for parameter in stack.parameters())


@both
def test_clipping_bounds_the_step_and_not_the_log():
    # With clipping at 1e-9 the weights stay, and the logged norms are those of the initial network.
    stack = network()
    before = [parameter.clone() for parameter in stack.parameters()]
    record, _ = train(stack, clip_norm=1e-9, epochs=1)
    assert (record.grad_norm > 1e-4).all()
    for old, new in zip(before, stack.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-6)


@both
def test_norms_of_tiny_gradients_do_not_underflow():
    # Squares of gradients below 1e-19 are 0 in float32.
    stack = network("plain", depth=55, width=32, seeds=2)
    record, _ = train(stack, epochs=1)
    first = record.probes[0][:, :3, 1]
    assert (first > 0).all() and (first < 1e-17).all()


@both
def test_training_works_with_one_block():
    record, _ = train(network(depth=1))
    assert record.grad_norm.shape[2] == 3 and record.grad_norm.isfinite().all()


def test_checkpoint_gives_an_ordinary_module(tmp_path):
    stack = network(scale=0.5)
    config = small.about(scale=0.5)
    checkpoints.save(tmp_path / "a.safetensors", stack, config)
    checkpoints.save(tmp_path / "b.safetensors", stack, config)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    points, _ = moons()
    for seed in range(3):
        single = checkpoints.load(tmp_path / "a.safetensors", seed=seed)
        assert isinstance(single.stem, torch.nn.Linear)
        torch.testing.assert_close(single(points), stack(points.expand(3, -1, -1))[seed])
    with pytest.raises(IndexError, match="has seeds 0 to 2, got 3"):
        checkpoints.load(tmp_path / "a.safetensors", seed=3)


@pytest.mark.parametrize(
    ("damage", "said"), [(b"", "cannot be read"), (b"not a checkpoint", "cannot be read"), (None, "is missing")]
)
def test_damaged_checkpoint_is_named(tmp_path, damage, said):
    path = tmp_path / "broken.safetensors"
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(RunError, match=rf"broken\.safetensors: {said}.*run `dvc repro`"):
        checkpoints.load(path)


@pytest.mark.parametrize(
    "odd",
    [
        {"network": "gone"},
        {"network": "guards/errors"},
        {"block": "gone"},
        {"settings": {"scal": 1.0}},
        {"depth": "four"},
        {"widths": [8, 16], "block": "rezero"},
        {"seeds": None},
        "network",  # is missing, as in checkpoints from before networks had names
    ],
    ids=str,
)
def test_a_checkpoint_that_asks_for_what_does_not_exist_is_unusable(tmp_path, odd):
    config = small.about(depth=2, width=8, scale=0.5)
    path = tmp_path / "old.safetensors"
    if isinstance(odd, str):
        del config[odd]
    else:
        config |= odd
    checkpoints.save(path, network(depth=2, width=8, scale=0.5), config)
    with pytest.raises(RunError, match=r"asks for a network that does not exist here.*run `dvc repro`"):
        checkpoints.load(path)


def test_a_checkpoint_with_any_bit_flipped_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, network(depth=1, width=8, scale=0.5), small.about(depth=1, width=8, scale=0.5))
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 61):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="run `dvc repro`"):
            checkpoints.load(path)


@pytest.mark.parametrize(
    ("block", "settings"), [("plain", {}), ("residual", {"scale": 0.5}), ("residual", {"scale": -0.5})]
)
def test_c_and_autograd_train_to_the_same_numbers(block, settings):
    in_c, _ = train(network(block, **settings))
    by_autograd, _ = train(network(block, **settings), make=Step)
    torch.testing.assert_close(by_autograd.grad_norm, in_c.grad_norm, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(by_autograd.history, in_c.history, rtol=1e-4, atol=1e-6)
    for epoch, probe in in_c.probes.items():
        torch.testing.assert_close(by_autograd.probes[epoch], probe, rtol=1e-4, atol=1e-6, equal_nan=True)


@both
@pytest.mark.parametrize("changes", [{}, {"clip_norm": None}, {"clip_norm": None, "momentum": 10.0}])
def test_a_seed_that_diverges_in_full_motion_stops_at_once(changes):
    stack = network()
    step = small.step(stack, **{"epochs": 1, "batch_size": 20} | changes)
    step(torch.arange(16))
    with torch.no_grad():
        if "momentum" in changes:  # the next one would leave float32
            for moving in step._optimiser.state:
                moving[:, 1] = 1e38
        else:  # the next loss will
            stack.head.weight[1] = 3e38
    kept = [parameter[1].clone() for parameter in stack.parameters()]
    for rows in torch.arange(32).split(16):
        step(rows)
    assert step.valid.tolist() == [[True, True, True], [True, False, True], [True, False, True]]
    assert all(torch.equal(parameter[1], value) for parameter, value in zip(stack.parameters(), kept, strict=True))
    assert all(parameter.isfinite().all() for parameter in stack.parameters())


@both
def test_a_seed_that_a_measurement_has_stopped_is_not_trained_again_although_its_loss_is_a_number():
    stack = network()
    step = small.step(stack)
    step.alive[1] = False
    kept = [parameter[1].clone() for parameter in stack.parameters()]
    step(torch.arange(16))
    assert step.valid[0].tolist() == step.alive.tolist() == [True, False, True]
    assert all(torch.equal(parameter[1], value) for parameter, value in zip(stack.parameters(), kept, strict=True))


@both
@pytest.mark.parametrize("size", [1e-25, 1e-17, 1.0])
def test_norms_are_right_however_small(size):
    # Their squares, which are summed, are 0 in float32 below 1e-19.
    def shrunk():
        stack = network("plain")
        with torch.no_grad():
            stack.head.weight.mul_(size)
        return stack

    record, _ = train(shrunk(), epochs=1, batch_size=50, lr=1e-30)
    points, labels = (tensor.double() if tensor.is_floating_point() else tensor for tensor in moons())
    stack = shrunk().double()
    losses = small.task().losses(stack(points.expand(3, -1, -1)), labels)
    weights = [each.weight for each in stack.linear_maps()]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in torch.autograd.grad(losses.sum(), weights)], 1)
    torch.testing.assert_close(record.grad_norm[0].double(), norms, rtol=1e-4, atol=0)


@both
def test_a_gradient_too_large_to_be_squared_in_float32_is_no_divergence():
    # Rows of size 1e-10 before a head of size 1e20: the weights' norms are near 1e10, those of the biases near 1e20.
    stack = network("plain", depth=1)
    with torch.no_grad():
        for bias in (stack.stem.bias, stack.blocks[0].linear.bias):
            bias.zero_()
        stack.head.weight.copy_(torch.tensor([1e20, -1e20])[:, None].expand(2, 16))
    points, labels = moons()
    step = small.step(stack, (points * 1e-10, labels))
    step(torch.arange(16))
    assert (step.grad_norm[0] < 1e15).all()
    assert step.valid[0].all()


@both
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_can_be_taken_back(optimizer):
    # As the capture of a CUDA graph does, whose rehearsals must leave no trace.
    stack = network()
    step = small.step(stack, optimizer=optimizer)
    step(torch.arange(16))
    before, values = [tensor.clone() for tensor in step.state], [p.clone() for p in stack.parameters()]
    step(torch.arange(16))
    norms = step.grad_norm.clone()
    assert not torch.equal(stack.stem.weight, values[0])
    step.restore(before)
    assert all(torch.equal(p, q) for p, q in zip(stack.parameters(), values, strict=True))
    step(torch.arange(16))
    assert torch.equal(step.grad_norm[:2], norms[:2])


def test_a_step_that_cannot_be_captured_is_taken_as_it_is(monkeypatch):
    expected, _ = train(network(), make=Step)

    def fail(step, rows):
        raise RuntimeError("not permitted")

    monkeypatch.setattr(step_module, "_capture", fail)
    assert torch.equal(through_graphs(2).grad_norm, expected.grad_norm)


def test_captured_steps_get_the_rows_of_each_batch(monkeypatch):
    expected, _ = train(network(), make=Step)

    class Graph:  # what a graph does: the captured step again, on what lies in its place
        def __init__(self, step, place):
            self.replay = lambda: step(place)

    def capture(step, rows):
        place = rows.clone()
        return Graph(step, place), place

    monkeypatch.setattr(step_module, "_capture", capture)
    assert torch.equal(through_graphs(0).grad_norm, expected.grad_norm)


class Through(Step):
    """A step on the CPU that takes the way of CUDA."""

    def __call__(self, batch):
        vars(self).setdefault("way", step_module.captured(super().__call__))(batch)


def through_graphs(warned):
    """A training that takes the way of CUDA, and how often it may warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record, _ = train(network(), make=Through)
    assert len(caught) == warned  # one a size of batch
    return record


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_gpu_gives_the_numbers_of_the_cpu_with_and_without_a_graph(monkeypatch, optimizer):
    expected, _ = train(network(), optimizer=optimizer)
    on_gpu = tuple(tensor.cuda() for tensor in moons())
    for capture in (step_module.captured, lambda step: step):
        monkeypatch.setattr(trainer, "captured", capture)
        record, epochs = train(network().cuda(), on_gpu, validation=on_gpu, optimizer=optimizer)
        torch.testing.assert_close(record.grad_norm.cpu(), expected.grad_norm, rtol=1e-3, atol=1e-6)
        assert len(epochs) == 3
