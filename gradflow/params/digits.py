"""The section of studies that train on handwritten digits."""

from typing import Annotated

from pydantic import Field

from gradflow.params.sections import Section, Seed

IMAGES = 1797  # that scikit-learn ships
PIXELS = 64  # of an image, 8 each way


class Digits(Section):
    """Which images are never trained on: their share, which leaves at least 89 on either side, and the seed."""

    validation: Annotated[float, Field(ge=0.05, le=0.95)]
    seed: Seed

    @property
    def train_rows(self) -> int:
        """How many images are trained on."""
        return IMAGES - -(-IMAGES * round(self.validation * 1e9) // 10**9)  # as scikit-learn rounds
