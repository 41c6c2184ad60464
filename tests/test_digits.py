"""Digits: what is split, how it is scaled, and files that are not what was written."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.datasets import load_digits

from gradflow.digits import dataset, rows, tensors
from gradflow.files import parquet
from gradflow.guards.errors import RunError
from gradflow.params.digits import IMAGES, Digits

CHOSEN = Digits(validation=0.3, seed=0)
LIST = pa.list_(pa.field("pixel", pa.float32(), nullable=False), 64)


def test_each_image_is_on_one_side_of_the_split_and_each_digit_on_both():
    found = rows.split(CHOSEN)
    images, labels = load_digits(return_X_y=True)
    both = np.concatenate([found.train[0], found.validation[0]])
    pixels = np.rint(np.interp(both, (both.min(), both.max()), (0, 16)))
    assert sorted(map(tuple, pixels)) == sorted(map(tuple, images)) and len(images) == IMAGES
    assert len(found.train[0]) == CHOSEN.train_rows == 1257
    for _, own in (found.train, found.validation):
        assert np.abs(np.bincount(own) / len(own) - np.bincount(labels) / IMAGES).max() < 0.002
    assert not np.array_equal(rows.split(Digits(validation=0.3, seed=1)).train[1], found.train[1])


def test_all_pixels_share_the_mean_and_spread_of_the_train_part():
    found = rows.split(CHOSEN)
    assert found.train[0].mean(dtype=float) == pytest.approx(0, abs=1e-6)
    assert found.train[0].std(dtype=float) == pytest.approx(1)
    assert found.train[0][:, 0].std() == 0 and found.validation[0].std(dtype=float) != pytest.approx(1, abs=1e-6)


def test_rows_come_back_from_their_file_and_give_the_same_bytes_again(tmp_path):
    images, labels = rows.split(CHOSEN).validation
    for name in ("one", "other"):
        dataset.write(tmp_path / name, images, labels)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    found = tensors.labelled(tmp_path / "one")
    assert (found[0].dtype, found[1].dtype) == (torch.float32, torch.int64)
    assert np.array_equal(found[0].numpy(), images) and np.array_equal(found[1].numpy(), labels)


def written(path, pixels, labels, **other):
    flat = pa.FixedSizeListArray.from_arrays(pa.array(pixels, pa.float32()), type=LIST)
    schema = pa.schema([pa.field("pixels", LIST, nullable=False), pa.field("label", pa.int64(), nullable=False)])
    table = pa.table([flat, pa.array(labels, pa.int64())], schema=schema)
    for name, column in other.items():
        table = table.append_column(name, pa.array(column))
    parquet.write(path, table)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (([0.0] * 64, [3], {"more": [1]}), "must have the columns pixels, of 64 numbers, and label"),
        (([], [], {}), "must have rows, got none"),
        (([0.0] * 63 + [np.nan], [3], {}), "column pixels: must hold finite numbers"),
        (([0.0] * 64, [10], {}), "column label: must hold 0 to 9"),
        (([0.0] * 64, [-1], {}), "column label: must hold 0 to 9"),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path, rows, message):
    path = tmp_path / "rows.parquet"
    pixels, labels, more = rows
    written(path, pixels, labels, **more)
    with pytest.raises(RunError, match=message):
        dataset.read(path)


def test_a_file_that_is_missing_or_cut_off_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    with pytest.raises(RunError, match="is missing"):
        dataset.read(path)
    dataset.write(path, *rows.split(CHOSEN).validation)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match="cannot be read"):
        dataset.read(path)
