"""kept: the memory that one process takes for what blocks keep for the backward pass, beside what is counted."""

import json

import click
import torch

from benchmarks.peers.job import most_memory
from benchmarks.process import CHECKOUT
from gradflow.params.loading import load
from studies.memory.counting import Counting
from studies.memory.params import Params
from studies.memory.ways import going, trunk


@click.command()
@click.option("--way", default="full", show_default=True, help="See studies/memory/ways.py.")
@click.option("--depth", type=click.IntRange(1), default=2560, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=128, show_default=True)
@click.option("--width", type=click.IntRange(1), default=64, show_default=True)
def main(way: str, depth: int, batch: int, width: int) -> None:
    """Print the bytes that a pass forwards and backwards took at most, and those that are counted, as JSON.

    Weights and their gradients are there before.
    """
    torch.set_num_threads(1)
    start = load(Params, CHECKOUT / "studies/memory/params.yaml").variants["by_depth"]
    network = trunk(start, depth, width)
    x = torch.randn(batch, width).requires_grad_()
    for tensor in (x, *network.parameters()):
        tensor.grad = torch.ones_like(tensor)  # written to, as memory is only taken then
    with going(way, network, batch) as through:
        torch.autograd.backward(network.blocks[0](x).sum())  # libraries set themselves up
        before = most_memory()
        torch.autograd.backward(through(x).sum())
        took = most_memory() - before
        count = Counting(network.parameters())
        with count:
            torch.autograd.backward(through(x).sum())
    click.echo(json.dumps({"took": took, "counted": count.peak}))


if __name__ == "__main__":
    main()
