"""Every linear map of a network is logged, by its name, and has the norm that autograd finds on the single networks."""

import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from gradflow.tables import logs
from gradflow.training.step import Step
from tests import small

MAPS = {
    "bottleneck": ({"reduction": 2}, [".linear", ".inner", ".out"]),
    "highway": ({}, [".linear", ".gate"]),
    "linear_terminated": ({"scale": 0.5}, [".linear", ".out"]),
    "gated": ({}, [""]),
    "prenorm": ({}, [".linear", ".out"]),
}


@pytest.mark.parametrize("block", MAPS)
def test_every_linear_map_is_logged_with_its_name_and_norm(block, tmp_path):
    settings, names = MAPS[block]
    stacked = small.network(block, depth=3, **settings)
    singles = small.singles(stacked, block, depth=3, **settings)
    record, _ = small.train(stacked, epochs=1, batch_size=50)  # one step
    logs.write_grad_norms(tmp_path / "log.parquet", record)
    log = pd.read_parquet(tmp_path / "log.parquet")

    expected = [(0, "stem"), *((layer, f"block_{layer}{name}") for layer in (1, 2, 3) for name in names), (4, "head")]
    points, labels = small.moons()
    for seed, single in enumerate(singles):
        cross_entropy(single(points), labels).backward()
        of_seed = log[log["seed"] == seed]
        assert [*zip(of_seed["layer"], of_seed["name"], strict=True)] == expected
        norms = [float(each.weight.grad.norm()) for each in single.linear_maps()]
        assert of_seed["grad_norm"].tolist() == pytest.approx(norms, rel=1e-4)


@pytest.mark.parametrize("block", MAPS)
def test_the_probe_takes_the_gradients_of_a_block_together(block):
    settings, _ = MAPS[block]
    stacked = small.network(block, depth=3, **settings)
    found = small.step(stacked, make=Step).probe(*small.moons())
    points, labels = small.moons()
    for seed, single in enumerate(small.singles(stacked, block, depth=3, **settings)):
        cross_entropy(single(points), labels).backward()
        for layer in (1, 2, 3):
            of_block = [each.weight.grad for each in single.linear_maps() if each.layer == layer]
            norm = torch.stack([gradient.norm() for gradient in of_block]).norm()
            assert float(found[seed, layer - 1, 0]) == pytest.approx(float(norm), rel=1e-4)
