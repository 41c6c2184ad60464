"""What legs add to a bundle, without their servers."""

import json
import shutil
import subprocess
import sys
from zipfile import ZipFile

import numpy as np
import pytest

from serving import bundle as bundles
from serving import forms
from serving.legs import finding
from serving.legs.packing import PACKERS
from serving.legs.torchserve import archive


def test_there_are_legs_for_what_is_packed():
    assert set(PACKERS) <= set(finding.names())


@pytest.mark.parametrize("leg", PACKERS)
def test_the_same_bundle_gives_the_same_bytes(packed, tmp_path, leg):
    made = packed.root / "serving/bundle" / leg
    PACKERS[leg].write(packed.root / "serving/bundle", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in made.iterdir()}
    assert all(path.read_bytes() == (made / path.name).read_bytes() for path in tmp_path.iterdir())


def test_the_archive_holds_code_numbers_and_words_of_no_date(packed):
    with ZipFile(packed.root / "serving/bundle/torchserve" / archive.FILE) as file:
        entries = file.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.filename.rpartition(".")[2] for entry in entries} == {"json", "py", "safetensors"}


def test_the_archive_rebuilds_its_network_without_this_checkout(packed, tmp_path):
    with ZipFile(packed.root / "serving/bundle/torchserve" / archive.FILE) as file:
        file.extractall(tmp_path)
    config = json.loads((packed.root / "serving/bundle/vllm/config.json").read_text(encoding="utf-8"))["network"]
    code = f"from gradflow.kit import building; building.build({config!r}); print(building.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "gradflow/kit/building.py")


@pytest.mark.parametrize("form", forms.FILES)
@pytest.mark.parametrize("leg", PACKERS)
def test_what_is_packed_is_the_network_in_the_form_that_is_served(packed, rows, tmp_path, leg, form):
    folder = shutil.copytree(packed.root / "serving/bundle", tmp_path / "bundle")
    described(folder, form)
    PACKERS[leg].write(folder, tmp_path)
    found = PACKERS[leg].network(tmp_path).probabilities(rows["val"])
    right, other = (forms.load(packed.root / "serving/bundle", one) for one in (form, "float16"))
    assert np.array_equal(found, right.probabilities(rows["val"]))
    assert np.array_equal(found, other.probabilities(rows["val"])) == (form == "float16")


def described(folder, form):
    """Let a bundle's description name another form."""
    path = folder / bundles.DESCRIPTION
    text = path.read_text(encoding="utf-8").replace('"form": "float32"', f'"form": "{form}"')
    path.unlink()  # a link into DVC's cache, perhaps
    path.write_text(text, encoding="utf-8")


def test_a_leg_that_takes_another_network_along_is_refused(packed, tmp_path):
    """That of FP16: its checksum fits, its numbers do not."""
    folder = shutil.copytree(packed.root / "serving/bundle", tmp_path / "bundle")
    described(folder, "float16")
    (folder / "vllm/config.json").unlink()
    (folder / "vllm/model.safetensors").unlink()
    PACKERS["vllm"].write(folder, folder / "vllm")
    (folder / bundles.DESCRIPTION).unlink()
    shutil.copy(packed.root / "serving/bundle" / bundles.DESCRIPTION, folder)
    bundles.seal(folder)
    serving = type(packed)(packed.root / "serving", packed.env | {"PYTHONPATH": ".."})
    stage = ("python", "-m", "serving.stages.agree", "network", "../data/scaled/val.parquet")
    refused = serving.run(*stage, folder, tmp_path / "metrics.json", code=1)
    assert refused.stderr.startswith("gradflow: vllm on validation points: probabilities differ by up to ")
    assert refused.stderr.count("\n") == 1
