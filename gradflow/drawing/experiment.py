"""What the figures of one run of the pipeline have in common."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Experiment:
    """The setting of a run, and which seeds were lost.

    Attributes:
        depths: The variants in the order of params.yaml; for each, its number of blocks.
        seeds: Trained seeds of each variant.
        epochs: Epochs of the training.
        diverged: For each variant, in the same order, its diverged seeds with their epoch.
        caption: Setting and data in words.
        time: What training is counted in, ``epoch`` or ``step``.
    """

    depths: dict[str, int]
    seeds: int
    epochs: int
    diverged: dict[str, dict[int, int]]
    caption: str
    time: str = "epoch"

    @property
    def depth(self) -> int:
        """Number of blocks of the deepest variant."""
        return max(self.depths.values())

    def position(self, variant: str) -> int:
        """Place of a variant in params.yaml, from 0."""
        return list(self.diverged).index(variant)

    def lost(self, variant: str) -> str:
        """How many seeds diverged and when, in words; empty if none did."""
        epochs = sorted(self.diverged[variant].values())
        if not epochs:
            return ""
        first, last = epochs[0], epochs[-1]
        when = f"{self.time} {first}" if first == last else f"{self.time}s {first} to {last}"
        return f"{self.share(len(epochs))} diverged, {when}"

    def label(self, variant: str) -> str:
        """The name of a variant for a legend, with its divergence in words."""
        lost = self.lost(variant)
        return f"{variant} ({lost})" if lost else variant

    def share(self, seeds: int) -> str:
        """``3 of 8 seeds``, or ``the seed`` where there is one."""
        return "the seed" if self.seeds == 1 else f"{seeds} of {self.seeds} seeds"

    def any_diverged(self) -> bool:
        """Whether a seed of any variant diverged."""
        return any(self.diverged.values())

    def surviving(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of seeds that did not diverge, from a table with columns variant and seed."""
        lost = [(variant, seed) for variant, seeds in self.diverged.items() for seed in seeds]
        return table[~pd.MultiIndex.from_frame(table[["variant", "seed"]]).isin(lost)]
