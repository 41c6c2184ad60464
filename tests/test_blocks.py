"""Every block: its row here, its size, its gradient, and that a stack of networks is the networks."""

import pytest
import torch
from torch import nn

from gradflow.kit.inits import INITS, initialised
from gradflow.kit.network import Network, stacked
from gradflow.params import catalogue
from gradflow.training import passes

# A block, its settings, and the parameters of one of width n beside nothing else. A new block needs a row.
BLOCKS = {
    "linear_terminated": ({"scale": 0.5}, lambda n: 2 * (n * n + n)),
    "plain": ({}, lambda n: n * n + n),
    "rescaled": ({"scale": 0.5}, lambda n: n * n + n),
    "residual": ({"scale": 0.5}, lambda n: n * n + n),
    "rezero": ({"start": 0.5}, lambda n: n * n + n + 1),
}


def test_every_block_has_a_row():
    assert sorted(BLOCKS) == catalogue.names()


@pytest.mark.parametrize("name", BLOCKS)
def test_settings_read_from_the_source_are_those_of_the_constructor(name):
    settings, _ = BLOCKS[name]
    assert set(catalogue.settings(name)) == set(settings)
    catalogue.block(name)(4, **{key: default for key, (_, default) in catalogue.settings(name).items()})


@pytest.mark.parametrize("name", BLOCKS)
def test_parameter_count(name):
    settings, count = BLOCKS[name]
    block = catalogue.block(name)(16, **settings)
    assert sum(p.numel() for p in block.parameters()) == count(16)


@pytest.mark.parametrize("name", BLOCKS)
def test_gradient_agrees_with_finite_differences(name):
    settings, _ = BLOCKS[name]
    torch.manual_seed(0)
    block = catalogue.block(name)(5, **settings).double()
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))


@pytest.mark.parametrize("name", BLOCKS)
def test_skip_says_whether_the_input_is_passed_on(name):
    settings, _ = BLOCKS[name]
    block = catalogue.block(name)(4, **settings)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(3, 4)
    assert torch.equal(block(x), x) == block.skip


@pytest.mark.parametrize("name", [name for name in BLOCKS if catalogue.block(name)(1).skip])
def test_branch_is_what_a_block_with_a_skip_adds(name):
    settings, _ = BLOCKS[name]
    block = catalogue.block(name)(4, **settings)
    x = torch.randn(3, 4)
    assert block.branch(x).any()
    torch.testing.assert_close(block(x), x + block.branch(x))


def test_a_rezero_block_starts_as_the_identity_and_can_leave_it():
    block = catalogue.block("rezero")(4)
    x = torch.randn(3, 4)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.a.grad.item() != 0


BY_HAND = [
    (name, settings) for name, (settings, _) in BLOCKS.items() if hasattr(catalogue.block(name)(1), "relu_scale")
]
BY_HAND += [("residual", {"scale": scale}) for scale in (1.0, 0.0, -0.5)]


@pytest.mark.parametrize(("name", "settings"), BY_HAND)
@pytest.mark.parametrize("depth", [1, 4])
def test_the_pass_by_hand_agrees_with_autograd(name, settings, depth):
    stack = initialised(name, settings, depth, 8, seeds=3, init="default", seed=0)
    points, labels = torch.randn(2, 7, 2), torch.arange(7) % 2
    found = []
    for make in (
        lambda gradients: passes.Fused(stack, gradients, 7),
        lambda gradients: passes.Autograd(stack, gradients),
    ):
        gradients = {parameter: torch.full_like(parameter, torch.nan) for parameter in stack.parameters()}
        run = make(gradients)
        run(points[0], labels)
        losses = run(points[1], labels)  # what the first call left must not matter
        found.append([losses, *gradients.values()])
    for by_hand, by_autograd in zip(*found, strict=True):
        torch.testing.assert_close(by_hand, by_autograd, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "settings"), BY_HAND)
def test_a_block_that_is_not_what_it_says_is_left_to_autograd(name, settings, monkeypatch):
    block = catalogue.block(name)
    stack = initialised(name, settings, 3, 8, seeds=2, init="default", seed=0)
    assert passes.by_hand(stack)

    forward = block.forward
    monkeypatch.setattr(block, "forward", lambda self, x: forward(self, x) + 0.1 * x)
    assert not passes.by_hand(stack)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("name", BLOCKS)
def test_a_stack_computes_what_its_networks_compute(name, init):
    settings, _ = BLOCKS[name]
    stack = initialised(name, settings, 3, 8, seeds=4, init=init, seed=10)
    x = torch.randn(5, 2)
    together = stack(x.expand(4, -1, -1))
    for seed in range(4):
        torch.manual_seed(10 + seed)
        single = Network(name, settings, 3, 8)
        INITS[init](single)
        torch.testing.assert_close(together[seed], single(x))


def test_a_seed_starts_the_same_whatever_the_number_of_seeds():
    few = initialised("plain", {}, 2, 4, seeds=2, init="default", seed=0).state_dict()
    many = initialised("plain", {}, 2, 4, seeds=5, init="default", seed=0).state_dict()
    assert all(torch.equal(few[name], many[name][:2]) for name in few)


def test_initialising_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    initialised("plain", {}, 2, 4, seeds=2, init="he", seed=0)
    assert torch.equal(torch.rand(1), expected)


def test_he_draws_variance_two_over_inputs_and_no_bias():
    network = Network("plain", {}, 1, 400)
    INITS["he"](network)
    weight = network.linears()[1].weight.detach()
    assert float(weight.var()) == pytest.approx(2 / 400, rel=0.05)
    assert not network.linears()[1].bias.any()


def test_a_block_setting_without_default_is_refused(tmp_path, monkeypatch):
    (tmp_path / "odd.py").write_text("class Block:\n    def __init__(self, width, *, scale: float): ...\n")
    monkeypatch.setattr(catalogue, "_BLOCKS", tmp_path)
    with pytest.raises(TypeError, match=r"odd\.py: scale must be a float, int or bool with a default"):
        catalogue.settings("odd")


@pytest.mark.parametrize("key", ["block", "depth", "train"])
def test_a_block_setting_with_the_name_of_another_key_is_refused(tmp_path, monkeypatch, key):
    (tmp_path / "odder.py").write_text(f"class Block:\n    def __init__(self, width, *, {key}: int = 1): ...\n")
    monkeypatch.setattr(catalogue, "_BLOCKS", tmp_path)
    catalogue.settings.cache_clear()
    with pytest.raises(TypeError, match=f"odder\\.py: {key} is the name of another key of a variant"):
        catalogue.settings("odder")


def test_stacked_linear_has_a_leading_seeds_axis():
    linear = stacked(3)(4, 5)
    assert (linear.weight.shape, linear.bias.shape) == ((3, 5, 4), (3, 5))
