"""The table of all blocks, docs/blocks.md, from their files: `make blocks` writes it anew."""

import inspect
import re
from functools import partial
from pathlib import Path

import torch

from gradflow.kit import block, layers
from gradflow.kit.block import Block, Place
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.layers import Kit
from gradflow.params import catalogue

PAGE = Path(__file__).with_suffix(".md")
WIDTH, DEPTH, SEEDS = 64, 20, 8
TEXT = f"""# Blocks

Each block is one file in [gradflow/blocks](../gradflow/blocks), which explains its settings; `variants` of params.yaml
gives a network its block: `new: {{block: rezero}}`. [CONTRIBUTING.md](../CONTRIBUTING.md#add-a-block) tells how to add
one.

The numbers are of one block in a network of {DEPTH} blocks and width {WIDTH}, with default settings: numbers that are
learnt, multiply-adds of its linear maps for one row, and ‖f(x) - x‖/‖x‖ with He's initialisation, the mean over the
blocks of {SEEDS} networks, which is 0 for a block that starts as the identity. Written by `make blocks`.

"""


def row(name: str) -> dict[str, str]:
    """What the table says of a block."""
    made = block.named(name)(Kit(), Place(WIDTH, WIDTH, DEPTH))
    maps = layers.linear_maps(made).values()
    about = inspect.getdoc(type(made)) or ""
    papers = re.findall(r"\b\d{4}\.\d{5}\b", f"{inspect.getmodule(type(made)).__doc__} {about.partition('Args:')[0]}")
    return {
        "block": f"[{name}](../gradflow/blocks/{name}.py)",
        "one step of the stream": about.splitlines()[0].replace("``", "`"),
        "settings": ", ".join(f"{key}: {value}" for key, (_, value) in catalogue.settings(name).items()),
        "learnt": f"{sum(each.numel() for each in made.parameters()):,}",
        "multiply-adds": f"{sum(each.get_parameter('weight').numel() for each in maps):,}",
        "‖f(x) - x‖/‖x‖": f"{moved(name):.2g}",
        "source": ", ".join(f"[{paper}](https://arxiv.org/abs/{paper})" for paper in dict.fromkeys(papers)),
    }


@torch.no_grad()
def moved(name: str) -> float:
    """Mean of ‖f(x) - x‖/‖x‖ over all blocks at the start."""
    described = {"network": "trunk", "block": name, "settings": {}, "depth": DEPTH, "width": WIDTH, "widths": None}
    network = stack(partial(build, described), seeds=SEEDS, init="he", seed=0)
    x = torch.randn(SEEDS, 128, WIDTH, generator=torch.Generator().manual_seed(0))
    ratios = []
    for each in network.blocks:
        assert isinstance(each, Block)
        after = each(x)
        ratios.append((after - x).norm() / x.norm())
        x = after
    return float(torch.stack(ratios).mean())


def page() -> str:
    """The text of docs/blocks.md."""
    rows = [row(name) for name in catalogue.names()]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(each.values()) for each in rows)]
    return TEXT + "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
