"""scale: a stratified split, then zero mean and unit variance as seen on the train part alone."""

from pathlib import Path

import click
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from gradflow.data import dataset
from gradflow.files.writing import write_json
from gradflow.guards.errors import InputError
from gradflow.params.loading import load
from gradflow.recipe import Recipe


@click.command()
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("scaler", type=click.Path(path_type=Path))
def main(rows: Path, train: Path, validation: Path, scaler: Path) -> None:
    """Split ROWS into TRAIN and VALIDATION and write them with the SCALER (mean and scale)."""
    split = load(Recipe).split
    points, labels = dataset.read(rows)
    try:
        train_points, val_points, train_labels, val_labels = train_test_split(
            points, labels, test_size=split.validation, random_state=split.seed, stratify=labels
        )
    except ValueError as error:  # a class too small to stand on both sides
        raise InputError("params.yaml: split.validation", f"{error}, got {split.validation}") from None
    fitted = StandardScaler().fit(train_points)
    dataset.write(train, fitted.transform(train_points), train_labels)
    dataset.write(validation, fitted.transform(val_points), val_labels)
    numbers = {"mean": fitted.mean_.tolist(), "scale": fitted.scale_.tolist()}
    write_json(scaler, numbers)


if __name__ == "__main__":
    main()
