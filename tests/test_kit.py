"""The kit: torch.nn's own layers for one network, the same side by side for many, one line for what it has not."""

import importlib.util
import sys
from functools import partial

import pytest
import torch
from torch import nn

from gradflow.guards.errors import InputError
from gradflow.kit import network
from gradflow.kit.building import build
from gradflow.kit.inits import INITS, stack
from gradflow.kit.layers import Kit, UnknownLayerError
from gradflow.params import catalogue

SEEDS = 3
ASK = "must ask the kit for linear, convolution, norm, batch_norm or parameter"


def test_without_seeds_the_layers_are_those_of_pytorch():
    kit = Kit()
    assert [type(layer) for layer in (kit.linear(4, 5), kit.norm("layer", 4), kit.norm("rms", 4))] == [
        nn.Linear,
        nn.LayerNorm,
        nn.RMSNorm,
    ]
    assert isinstance(kit.convolution(4, 5, 3), nn.Conv2d) and isinstance(kit.batch_norm(4), nn.BatchNorm2d)
    assert kit.parameter(5, start=0.5).tolist() == [[0.5] * 5]


@pytest.mark.parametrize(
    "make",
    [lambda kit: kit.linear(4, 5), lambda kit: kit.norm("layer", 4), lambda kit: kit.norm("rms", 4)],
    ids=["linear", "layer norm", "rms norm"],
)
def test_with_seeds_a_layer_is_as_many_layers_of_pytorch_side_by_side(make):
    random = torch.Generator().manual_seed(0)
    together, singles = make(Kit(SEEDS)).double(), [make(Kit()).double() for _ in range(SEEDS)]
    for name, value in together.named_parameters():
        assert value.shape == (SEEDS, *singles[0].get_parameter(name).shape)
        value.data = torch.randn(value.shape, generator=random, dtype=torch.float64)
        for seed, single in enumerate(singles):
            single.get_parameter(name).data = value.data[seed].clone()
    assert {name for name, _ in together.named_parameters()} == {name for name, _ in singles[0].named_parameters()}

    x = (3 + torch.randn(SEEDS, 7, 4, generator=random, dtype=torch.float64)).requires_grad_()
    outputs = together(x)
    outputs.square().sum().backward()
    for seed, single in enumerate(singles):
        own = x[seed].detach().requires_grad_()
        torch.testing.assert_close(outputs[seed], single(own))
        single(own).square().sum().backward()
        torch.testing.assert_close(x.grad[seed], own.grad)
        for name, value in single.named_parameters():
            torch.testing.assert_close(together.get_parameter(name).grad[seed], value.grad)


def test_norms_start_as_those_of_pytorch():
    for kind in ("layer", "rms"):
        single, together = Kit().norm(kind, 4), Kit(SEEDS).norm(kind, 4)
        for name, value in single.named_parameters():
            assert torch.equal(together.get_parameter(name), value.expand(SEEDS, -1))


def test_a_parameter_can_be_multiplied_with_a_stream():
    for kit, shape in ((Kit(), (7, 4)), (Kit(SEEDS), (SEEDS, 7, 4))):
        for width in (1, 4):
            scaled = kit.parameter(width, start=2.0) * torch.ones(shape)
            assert torch.equal(scaled, torch.full(shape, 2.0))


@pytest.mark.parametrize("seeds", [None, SEEDS])
def test_what_the_kit_has_not_is_refused_by_name(seeds):
    with pytest.raises(UnknownLayerError, match=f"^{ASK}, got conv$"):
        Kit(seeds).conv(4, 4)
    with pytest.raises(UnknownLayerError, match=r"must ask the kit for the norm layer or rms, got 'batch'$"):
        Kit(seeds).norm("batch", 4)


ODD = """
from typing import Literal
from gradflow.kit.block import Block


class Odd(Block):
    def __init__(self, kit, place, *, norm: Literal["layer", "rms"] = "rms", above: float | None = None) -> None:
        super().__init__()
        self.linear, self.norm = {layer}(place.width, place.width), kit.norm(norm, place.width)
        self.above = above

    def branch(self, x):
        h = self.linear(self.norm(x)).relu()
        return h if self.above is None else h.clamp(max=self.above)
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Put a block "odd" among the others, whose linear map is made by the layer of that name."""

    def put(layer):
        path = tmp_path / "odd.py"
        path.write_text(ODD.format(layer=layer))
        spec = importlib.util.spec_from_file_location("gradflow.blocks.odd", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(sys.modules, "gradflow.blocks.odd", module)
        monkeypatch.setattr(catalogue, "_BLOCKS", tmp_path)
        for cached in (catalogue.settings, catalogue.changes_width):
            cached.cache_clear()
        return path

    yield put
    for cached in (catalogue.settings, catalogue.changes_width):
        cached.cache_clear()


@pytest.mark.parametrize("seeds", [None, SEEDS])
def test_a_block_that_asks_for_what_the_kit_has_not_is_named_by_its_file(odd, seeds):
    odd("kit.conv")
    with pytest.raises(InputError) as error:
        network.blocks(Kit(seeds), "odd", {}, [4, 4])
    assert error.value.exit_code == 2
    assert error.value.message == f"gradflow/blocks/odd.py: {ASK}, got conv"


def test_a_block_without_a_linear_map_is_named_by_its_file(odd):
    odd("(lambda *_: kit.norm(norm, place.width))")
    with pytest.raises(InputError) as error:
        network.blocks(Kit(SEEDS), "odd", {}, [4, 4])
    assert error.value.message == "gradflow/blocks/odd.py: must have a linear map, whose gradient is measured"


def test_a_block_of_the_users_own_is_made_of_its_settings(odd):
    odd("kit.linear")
    settings = {key: default for key, (_, default) in catalogue.settings("odd").items()}
    assert settings == {"norm": "rms", "above": None}
    [made] = network.blocks(Kit(), "odd", settings | {"above": 0.1}, [4, 4])
    assert isinstance(made.norm, nn.RMSNorm)
    assert made.branch(torch.randn(50, 4)).max().item() == pytest.approx(0.1)


def test_blocks_that_cannot_change_the_width_are_not_made_where_it_changes(odd):
    odd("kit.linear")
    with pytest.raises(ValueError, match=r"^block 2 \(odd\) needs a projection to go from width 4 to 2$"):
        network.blocks(Kit(), "odd", {}, [4, 4, 2])


def test_a_block_of_the_users_own_is_refused_by_the_stages_in_one_line(clone):
    """As a process: the rules of params.yaml know the block's settings, the kit what it does not have."""
    (clone.root / "gradflow" / "blocks" / "odd.py").write_text(ODD.format(layer="kit.conv"))
    clone.change({"variants": {"a": {"block": "odd", "norm": "batch"}}})
    line = clone.run("python", "-m", "stages.check", "passed", code=2).stderr
    assert line == "gradflow: params.yaml: variants.a.norm: must be 'layer' or 'rms', got 'batch'\n"

    clone.change({"variants": {"a": {"block": "odd", "above": "high"}}})
    line = clone.run("python", "-m", "stages.check", "passed", code=2).stderr
    assert line == "gradflow: params.yaml: variants.a.above: must be a number, got 'high'\n"

    clone.change({"variants": {"a": {"block": "odd", "above": None}}})
    clone.run("python", "-m", "stages.check", "passed")
    clone.run("python", "-m", "stages.fetch", "raw.parquet", "source.json")
    clone.run("python", "-m", "stages.scale", "raw.parquet", "train.parquet", "val.parquet", "scaler.json")
    line = clone.run("python", "-m", "stages.train", "a", "train.parquet", "val.parquet", ".", ".", code=2).stderr
    assert line == f"gradflow: gradflow/blocks/odd.py: {ASK}, got conv\n"
    assert not [*clone.root.glob("a.*")]


STACKED = {
    "convnet": {
        "network": "convnet",
        "block": "basic",
        "settings": {"skip": True, "batch_norm": True, "shortcut": "projection", "padding": "zeros"},
        "widths": [4, 8],
        "depth": 2,
    },
    "unet": {
        "network": "unet",
        "block": "stage",
        "settings": {"long_skips": True},
        "widths": [2, 4, 2],
        "depth": 3,
    },
}


@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize("init", INITS)
def test_a_seed_of_a_stack_is_the_network_built_right_after_its_seed(name, init):
    whole = stack(partial(build, STACKED[name]), seeds=3, init=init, seed=4).state_dict()
    for seed in range(3):
        torch.manual_seed(4 + seed)
        single = build(STACKED[name])
        with torch.no_grad():
            INITS[init](single)
            single.start()
        assert set(single.state_dict()) == set(whole)
        for key, value in single.state_dict().items():
            assert torch.equal(whole[key][seed], value), key
