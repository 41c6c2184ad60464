"""Two moons or two spirals, a stratified split, and zero mean and unit variance as seen on the train part."""

from dataclasses import dataclass

from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from gradflow.data.dataset import Labels, Points
from gradflow.moons import spirals
from gradflow.params.moons import Moons, Spirals


@dataclass(frozen=True)
class Split:
    """Rows on both sides of a split.

    Attributes:
        train: Points (rows, 2), standardised, and labels (rows,).
        validation: Likewise.
        scaler: Takes further points to where these lie.
    """

    train: tuple[Points, Labels]
    validation: tuple[Points, Labels]
    scaler: StandardScaler


def split(drawn: Moons | Spirals) -> Split:
    """Draw rows and split them: moons are those of the recipe's pipeline for the same numbers and ``split.seed: 0``."""
    if isinstance(drawn, Spirals):
        points, labels = spirals.draw(drawn.samples, drawn.turns, drawn.noise, drawn.seed)
    else:
        points, labels = make_moons(n_samples=drawn.samples, noise=drawn.noise, random_state=drawn.seed)
    train, validation, train_labels, validation_labels = train_test_split(
        points, labels, test_size=drawn.validation, random_state=0, stratify=labels
    )
    scaler = StandardScaler().fit(train)
    return Split((scaler.transform(train), train_labels), (scaler.transform(validation), validation_labels), scaler)
