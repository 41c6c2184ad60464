"""Sections of studies with stages of their own that train on two moons or two spirals."""

from typing import Annotated

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.sections import Count, Depth, Parameters, Section, Seed, Seeds, Width


class Drawn(Section):
    """Rows that are drawn, and the share of them that is never trained on."""

    samples: Annotated[int, Field(ge=20, le=100_000)]
    noise: Annotated[float, Field(ge=0, le=1000)]
    seed: Seed
    validation: Annotated[float, Field(gt=0, lt=1)]

    @property
    def train_rows(self) -> int:
        """How many rows are trained on."""
        return self.samples - -(-self.samples * round(self.validation * 1e9) // 10**9)  # as scikit-learn rounds

    def check(self, key: str = "moons") -> None:
        """Check that both sides of the split hold rows of both classes.

        Args:
            key: Of this section in params.yaml.

        Raises:
            InputError: They do not.
        """
        if not 4 <= self.train_rows <= self.samples - 4:
            rule = f"must leave at least 4 of the {self.samples} rows on each side"
            raise InputError(f"params.yaml: {key}.validation", f"{rule}, got {self.validation}")


class Moons(Drawn):
    """Rows of scikit-learn's ``make_moons``."""


class Spirals(Drawn):
    """Rows of two spiral arms, see :mod:`gradflow.moons.spirals`."""

    turns: Annotated[float, Field(gt=0, le=100)]


class Descending(Section):
    """How networks are trained: SGD in shuffled batches."""

    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0, le=10_000)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Annotated[float, Field(gt=0)] | None
    seed: Seed


class Study(Parameters):
    """The part of a params.yaml that these studies have in common."""

    depth: Depth
    width: Width
    seeds: Seeds
    moons: Moons
    train: Descending

    def check_rows(self, key: str, rows: int) -> None:
        """Check that there are as many train rows.

        Raises:
            InputError: There are not; names the key to change.
        """
        if rows > self.moons.train_rows:
            rule = f"must be <= {self.moons.train_rows}, the rows of the train split"
            raise InputError(f"params.yaml: {key}", f"{rule}, got {rows}")
