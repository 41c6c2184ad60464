"""Two spiral arms around one another, a class each: a boundary that one layer cannot draw.

Arm k is the Archimedean spiral with radius r and angle 2 pi (turns r + k / 2), r from 0 to 1. Radii are
square roots of uniform numbers, so that the outer, longer turns hold more points; neighbouring arms lie 1 / (2 turns)
apart. Lang and Witbrock 1988, "Learning to tell two spirals apart", made such a task known.
"""

import numpy as np

from gradflow.data.dataset import Labels, Points


def draw(samples: int, turns: float, noise: float, seed: int) -> tuple[Points, Labels]:
    """Points (samples, 2) of both arms, with Gaussian noise of that standard deviation, and labels (samples,).

    The first arm has the odd point where the number is odd.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(samples) % 2
    radius = np.sqrt(random.uniform(size=samples))
    angle = 2 * np.pi * (turns * radius + labels / 2)
    arms = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return arms + noise * random.standard_normal(arms.shape), labels
