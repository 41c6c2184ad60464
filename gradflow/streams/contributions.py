"""What each part of a network adds to the logits (Elhage et al. 2021).

The last stream is the embedding plus what the branches add. A norm in front of the head divides by a number of each row
alone; with that number held where it is, logits are linear in the stream, so each part has a share of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gradflow.kit.block import Block, adds_to_the_stream
from gradflow.networks.transformer import Network


@torch.no_grad()
def contributions(network: Network, x: Tensor) -> Tensor:
    """Split the logits.

    Args:
        network: A single one, whose sublayers add to the stream.
        x: Inputs (rows, tokens + positions).

    Returns:
        (2 + sublayers, rows, tokens): what the embedding, each branch and the bias of the last norm give, which is all
        of the logits.

    Raises:
        ValueError: A sublayer does not add to its stream.
    """
    stream = network.embedded(x)
    parts = [stream]
    for number, block in enumerate(network.blocks, start=1):
        assert isinstance(block, Block)
        if not adds_to_the_stream(block, stream, block.carry(stream)):
            raise ValueError(f"sublayer {number} does not add to the stream, so logits are no sum over sublayers")
        parts.append(block.branch(stream))
        stream = stream + parts[-1]
    scaled, shift = _through_norm(network.norm, stream, torch.stack(parts))
    read = linear(scaled, network.head.get_parameter("weight"))
    of_shift = linear(shift.expand_as(stream), network.head.get_parameter("weight"))
    return torch.cat([read, of_shift.unsqueeze(0)])


def _through_norm(norm: nn.Module, whole: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """Parts of a stream, as a norm that divides by what it does for the whole one makes them; and the norm's bias."""
    if isinstance(norm, nn.Identity):
        return parts, whole.new_zeros(whole.shape[-1])
    gain = norm.get_parameter("weight")
    if isinstance(norm, nn.RMSNorm):
        eps = torch.finfo(whole.dtype).eps if norm.eps is None else norm.eps
        size = (whole.square().mean(-1, keepdim=True) + eps).sqrt()
        return gain * parts / size, whole.new_zeros(whole.shape[-1])
    assert isinstance(norm, nn.LayerNorm)
    size = (whole.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    return gain * (parts - parts.mean(-1, keepdim=True)) / size, norm.get_parameter("bias")
