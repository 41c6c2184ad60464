"""The transformer against formulas written out here, and against PyTorch's own layer with the same weights."""

from functools import partial

import pytest
import torch
from torch import nn

from gradflow.kit.block import Place
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.layers import Kit
from gradflow.networks import transformer
from gradflow.networks.sublayers import Attention, Feedforward, sublayer

TOKENS, POSITIONS, HEADS, WIDTH, LAYERS, SEQUENCES = 6, 5, 2, 8, 2, 3
SETTINGS = {"tokens": TOKENS, "positions": POSITIONS, "heads": HEADS}


def about(block="pre", **settings):
    described = {"network": "transformer", "block": block, "settings": SETTINGS | settings, "widths": None}
    return described | {"depth": LAYERS, "width": WIDTH}


def tokens():
    return torch.randint(TOKENS, (SEQUENCES, POSITIONS), generator=torch.Generator().manual_seed(0))


def rows(type_=torch.float64):
    return torch.randn(SEQUENCES * POSITIONS, WIDTH, generator=torch.Generator().manual_seed(1)).to(type_)


def test_attention_is_that_of_the_formula():
    torch.manual_seed(0)
    core, x = Attention(Kit(), WIDTH, HEADS, POSITIONS).double(), rows()
    q, k, v = core.qkv(x).chunk(3, 1)
    expected, part = torch.zeros_like(x), WIDTH // HEADS
    for row in range(len(x)):
        seen = range(row - row % POSITIONS, row + 1)
        for head in range(HEADS):
            own = slice(head * part, (head + 1) * part)
            weights = torch.stack([q[row, own] @ k[other, own] / part**0.5 for other in seen]).softmax(0)
            expected[row, own] = sum(weight * v[other, own] for weight, other in zip(weights, seen, strict=True))
    torch.testing.assert_close(core(x), core.out(expected))


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_two_sublayers_are_pytorchs_layer(placement):
    torch.manual_seed(0)
    own = nn.Sequential(
        *(
            sublayer(Kit(), Place(WIDTH, WIDTH), core, placement=placement)
            for core in (Attention(Kit(), WIDTH, HEADS, POSITIONS), Feedforward(Kit(), WIDTH, 4 * WIDTH))
        )
    ).double()
    for parameter in own.parameters():
        nn.init.normal_(parameter)
    theirs = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=placement == "pre"
    ).double()
    norm = "before" if placement == "pre" else "sum"
    names = {
        "self_attn.in_proj_": "0.core.qkv.",
        "self_attn.out_proj.": "0.core.out.",
        "linear1.": "1.core.linear.",
        "linear2.": "1.core.out.",
        "norm1.": f"0.{norm}.",
        "norm2.": f"1.{norm}.",
    }
    there = own.state_dict()
    weights = {
        name: there[mine + name.removeprefix(their)]
        for name in theirs.state_dict()
        for their, mine in names.items()
        if name.startswith(their)
    }
    assert len(weights) == len(there)
    theirs.load_state_dict(weights)
    x = rows().view(SEQUENCES, POSITIONS, WIDTH)
    mask = nn.Transformer.generate_square_subsequent_mask(POSITIONS, dtype=torch.float64)
    torch.testing.assert_close(own(x.flatten(0, 1)).view_as(x), theirs(x, src_mask=mask, is_causal=True))


@pytest.mark.parametrize("placement", ["pre", "post", "peri", "none"])
@pytest.mark.parametrize("skip", [True, False])
def test_a_norm_stands_where_its_name_says(placement, skip):
    torch.manual_seed(0)
    core = Feedforward(Kit(), WIDTH, WIDTH).double()
    x, norm = rows(), partial(nn.functional.layer_norm, normalized_shape=[WIDTH])
    found = sublayer(Kit(), Place(WIDTH, WIDTH), core, placement=placement, skip=skip, scale=0.5).double()(x)
    past = x if skip else 0 * x
    expected = {
        "pre": lambda: past + 0.5 * core(norm(x)),
        "post": lambda: norm(past + 0.5 * core(x)),
        "peri": lambda: past + 0.5 * norm(core(norm(x))),
        "none": lambda: past + 0.5 * core(x),
    }[placement]()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("block", ["pre", "post", "peri", "none"])
def test_a_network_of_seeds_is_its_single_networks(block):
    make, x = partial(build, about(block)), transformer.inputs(tokens(), TOKENS)
    whole = stack(make, seeds=2, init="gpt2", seed=5)
    single = make(Kit())
    for seed in range(2):
        single.load_state_dict({name: value[seed] for name, value in whole.state_dict().items()})
        torch.testing.assert_close(whole(x.expand(2, -1, -1))[seed], single(x), rtol=1e-5, atol=1e-5)


def test_a_position_sees_none_that_come_later():
    torch.manual_seed(0)
    network, before = build(about()), tokens()
    after = before.clone()
    after[:, 3] = (after[:, 3] + 1) % TOKENS
    one, other = (network(transformer.inputs(each, TOKENS)).view(SEQUENCES, POSITIONS, -1) for each in (before, after))
    assert torch.equal(one[:, :3], other[:, :3])
    assert (one[:, 3:] != other[:, 3:]).any(2).all()


def test_inputs_are_a_token_and_its_position():
    found = transformer.inputs(tokens(), TOKENS)
    assert found.sum(1).tolist() == [2.0] * SEQUENCES * POSITIONS
    assert found[:, :TOKENS].argmax(1).tolist() == tokens().flatten().tolist()
    assert found[:, TOKENS:].argmax(1).tolist() == [*range(POSITIONS)] * SEQUENCES


def test_gpt2_divides_what_is_written_to_the_stream_by_the_root_of_the_number_of_sublayers():
    network = stack(partial(build, about() | {"width": 64, "depth": 8}), seeds=1, init="gpt2", seed=0)
    assert len(network.blocks) == 16
    for each in network.blocks:
        inside = each.core.linear if hasattr(each.core, "linear") else each.core.qkv
        assert inside.weight.std().item() == pytest.approx(1 / 8, rel=0.05)
        out = each.core.out.weight
        assert out.std().item() == pytest.approx(1 / out.shape[2] ** 0.5 / 4, rel=0.05)
    assert [each.name for each in network.linear_maps()][:3] == ["stem", "block_1.core.qkv", "block_1.core.out"]
