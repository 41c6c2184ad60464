"""What legs add to a bundle, without their servers."""

import json
import subprocess
import sys
from zipfile import ZipFile

import pytest

from serving.legs.torchserve import archive
from serving.legs.vllm import folder as model_folder

_PACKERS = {"torchserve": archive.write, "vllm": model_folder.write}


@pytest.mark.parametrize("leg", _PACKERS)
def test_the_same_bundle_gives_the_same_bytes(packed, tmp_path, leg):
    made = packed.root / "serving/bundle" / leg
    _PACKERS[leg](packed.root / "serving/bundle", tmp_path)
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
