"""What the figures of one run of the pipeline have in common."""

from dataclasses import dataclass, field

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
        diverged_at: Where each variant stands for a family, which differs in one parameter alone: the values of the
            parameter at which seeds diverged, with their number.
    """

    depths: dict[str, int]
    seeds: int
    epochs: int
    diverged: dict[str, dict[int, int]]
    caption: str
    time: str = "epoch"
    diverged_at: dict[str, dict[float | str, int]] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """Number of blocks of the deepest variant."""
        return max(self.depths.values())

    @property
    def is_of_one_depth(self) -> bool:
        """Whether all variants have the same number of blocks."""
        return len(set(self.depths.values())) == 1

    def others(self, variant: str) -> list[str]:
        """The other variants of the same depth, whose layers stand at the same places."""
        return [name for name, depth in self.depths.items() if depth == self.depths[variant] and name != variant]

    def position(self, variant: str) -> int:
        """Place of a variant in params.yaml, from 0."""
        return list(self.diverged).index(variant)

    def lost(self, variant: str) -> str:
        """How many seeds diverged and when, or at which values of the parameter, in words; empty if none did."""
        if at := self.diverged_at.get(variant):
            return f"diverged: {', '.join(f'{self.share(seeds)} at {value}' for value, seeds in at.items())}"
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
