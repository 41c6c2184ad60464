"""Scikit-learn's digits, 1,797 images of 8x8 pixels, with a stratified split.

Pixels are standardised with one mean and one standard deviation for all of them, as seen on the train part. Each with
its own would not do: some are blank in every image, and the noise of those that are blank in nearly all would grow to
the size of the strokes.
"""

from dataclasses import dataclass

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gradflow.digits.dataset import Images, Labels
from gradflow.params.digits import Digits


@dataclass(frozen=True)
class Split:
    """Images on both sides of a split.

    Attributes:
        train: Images (rows, 64), standardised, and labels (rows,).
        validation: Likewise.
    """

    train: tuple[Images, Labels]
    validation: tuple[Images, Labels]


def split(drawn: Digits) -> Split:
    """Split the images; each digit has its share on both sides."""
    images, labels = load_digits(return_X_y=True)
    train, validation, train_labels, validation_labels = train_test_split(
        images, labels, test_size=drawn.validation, random_state=drawn.seed, stratify=labels
    )
    mean, std = train.mean(), train.std()
    scaled = [((part - mean) / std).astype("float32") for part in (train, validation)]
    return Split((scaled[0], train_labels), (scaled[1], validation_labels))
