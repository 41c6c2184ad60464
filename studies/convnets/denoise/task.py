"""The task: digits with normal noise come in, the digits themselves are to come out.

Noise is fresh in each batch, the same for all networks but for its size, and always the same on validation images.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gradflow.kit.network import Network

if TYPE_CHECKING:
    from gradflow.training.step import Step

_TRAIN, _VALIDATION = 0, 1  # what random numbers are drawn for


def bright(train: Tensor, validation: Tensor) -> tuple[Tensor, Tensor]:
    """Images (rows, pixels) with pixels from 0, blank, to 1, the brightest of the train images.

    Digits come with pixels standardised all alike; this takes it back, so that the peak in a PSNR is 1.
    """
    low, high = train.min(), train.max()
    return (train - low) / (high - low), (validation - low) / (high - low)


def psnr(errors: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of images with a peak of 1: ``-10 log10`` of mean squared errors."""
    return -10 * errors.log10()


class Denoising:
    """An epoch is some steps, after which validation images are looked at.

    Args:
        train: Images (rows, pixels) from 0 to 1.
        validation: Likewise.
        noise: Standard deviation of what is added to each pixel.
        steps: How many in all; what is left over of a whole number of epochs is not taken.
        batch_size: Images of each, drawn with replacement.
        every: Steps of an epoch.
        seed: Of images and noise.
    """

    def __init__(
        self,
        train: Tensor,
        validation: Tensor,
        *,
        noise: float,
        steps: int,
        batch_size: int,
        every: int,
        seed: int,
    ) -> None:
        self.epochs, self.steps = steps // every, every
        self._train, self._noise, self._batch_size, self._seed = train, noise, batch_size, seed
        self.clean = validation
        self.noisy = self._with_noise(validation, np.random.default_rng((seed, _VALIDATION)))

    def batches(self, first: int) -> Iterator[Sequence[Tensor]]:
        """Noisy and clean images of each step, (batch, 2, pixels)."""
        for epoch in range(first, self.epochs + 1):
            yield [self._batch((epoch - 1) * self.steps + step) for step in range(self.steps)]

    def _batch(self, step: int) -> Tensor:
        random = np.random.default_rng((self._seed, _TRAIN, step))
        clean = self._train[random.integers(len(self._train), size=self._batch_size)]
        return torch.stack([self._with_noise(clean, random), clean], 1)

    def _with_noise(self, images: Tensor, random: np.random.Generator) -> Tensor:
        drawn = random.standard_normal(images.shape, dtype=np.float32)
        return images + self._noise * torch.from_numpy(drawn).to(images.device)

    def pick(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy images and clean ones, both (batch, pixels)."""
        noisy, clean = batch.unbind(1)
        return noisy, clean

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error: (seeds, batch, pixels), (batch, pixels) -> (seeds,)."""
        mean: Tensor = (outputs - targets).square().mean((1, 2))
        return mean

    def measure(self, network: Network) -> Tensor:
        """Mean squared error on the validation images, over all their pixels: (seeds, 1)."""
        noisy = self.noisy.expand(len(next(network.parameters())), -1, -1)
        return self.losses(network(noisy), self.clean).double().unsqueeze(1)

    def probed(self, epoch: int) -> bool:
        """Never in between."""
        return False

    def probe(self, step: "Step") -> tuple[Tensor, Tensor]:
        """Nothing: what gradients are before training is measured by a stage of its own."""
        return step.loss_sum.new_empty(len(step.alive), len(step.network.blocks), 0), torch.ones_like(step.alive)
