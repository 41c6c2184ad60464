"""Bytes that are kept for the backward pass, counted where autograd saves tensors and lets go of them."""

import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class _Held:
    """A saved tensor, as long as a graph needs it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class Counting(saved_tensors_hooks):
    """Counts saved tensors: each memory once, whatever shares it, and parameters, which there are anyway, not at all.

    What a function of autograd keeps by other means than ``save_for_backward`` goes unseen.

    Attributes:
        now: Bytes held.
        peak: The most that was held at once.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__(self._pack, self._unpack)
        self.now = self.peak = 0
        self._known = {_place(parameter) for parameter in parameters}
        self._times: Counter[int] = Counter()

    def _pack(self, tensor: Tensor) -> Any:
        place, size = _place(tensor), tensor.untyped_storage().nbytes()
        if place in self._known:
            return tensor
        self._times[place] += 1
        if self._times[place] == 1:
            self.now += size
            self.peak = max(self.peak, self.now)
        held = _Held(tensor)
        weakref.finalize(held, self._let_go, place, size)
        return held

    def _unpack(self, kept: Any) -> Tensor:
        tensor: Tensor = kept.tensor if isinstance(kept, _Held) else kept
        return tensor

    def _let_go(self, place: int, size: int) -> None:
        self._times[place] -= 1
        if not self._times[place]:
            self.now -= size


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
