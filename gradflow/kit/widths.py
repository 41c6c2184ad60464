"""The width of the stream on its way through a network."""

from collections.abc import Sequence


def of_streams(widths: Sequence[int], depth: int) -> list[int]:
    """Units of the stream before the first block and behind each: each width is that of an equal part of the depth."""
    return [widths[0], *(widths[index * len(widths) // depth] for index in range(depth))]
