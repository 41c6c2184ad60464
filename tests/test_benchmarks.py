"""The benchmarks measure what the pipeline does by default, and their page is made from their results."""

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks import page
from benchmarks.peers.job import Job, made
from benchmarks.trainings import epoch_flops
from gradflow.data import dataset
from gradflow.params.loading import load
from gradflow.recipe import Recipe

ROOT = Path(__file__).parents[1]


def test_the_job_of_the_peers_is_the_default_one():
    config = load(Recipe, ROOT / "params.yaml")
    assert (Job.depth, Job.width, Job.batch_size) == (config.depth, config.width, config.train.batch_size)
    assert (Job.lr, Job.momentum, Job.clip_norm) == (config.train.lr, config.train.momentum, config.train.clip_norm)
    assert config.variants["residual"].settings() == {"scale": Job.scale, "exponent": 0.0}
    assert config.train.init == "default"


def test_rows_that_a_script_makes_itself_are_those_of_the_pipeline(tmp_path):
    stages = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    known = {Path(out["path"]).stem: out["md5"] for out in stages["scale"]["outs"]}
    for part, (points, labels) in made().items():
        dataset.write(tmp_path / part, points, labels)
        assert hashlib.md5((tmp_path / part).read_bytes(), usedforsecurity=False).hexdigest() == known[part]


@pytest.mark.parametrize("peer", ["recipe", "autograd", "gradflow_"])
def test_a_peer_writes_a_norm_for_every_step_seed_and_layer(tmp_path, peer):
    rng = np.random.default_rng(0)
    for part, rows in (("train", 50), ("val", 20)):
        points = rng.normal(size=(rows, 2))
        dataset.write(tmp_path / f"{part}.parquet", points, (points[:, 0] > 0).astype(np.int64))
    command = [sys.executable, "-m", f"benchmarks.peers.{peer}", "--variant=plain", "--variant=residual", "--epochs=3"]
    small = ["--depth=3", "--width=16", "--batch-size=16", f"--data={tmp_path}", f"--output={tmp_path / 'norms.csv'}"]
    done = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, text=True, check=True)

    found = json.loads(done.stdout)["trainings"]
    assert list(found) == ["plain", "residual"]
    for training in found.values():
        assert len(training["epochs"]) == 3 and training["steps_per_epoch"] == 4 and 0 <= training["accuracy"][0] <= 1
    with (tmp_path / "norms.csv").open(encoding="utf-8") as file:
        norms = list(csv.DictReader(file))
    assert Counter(row["variant"] for row in norms) == {"plain": 3 * 4 * 5, "residual": 3 * 4 * 5}
    assert all(float(row["grad_norm"]) > 0 for row in norms)


def test_flops_of_an_epoch_are_those_of_its_products():
    # One block, width 3, one row: stem 2x3, block 3x3, head 3x2; each product of (1, a) and (a, b) takes 2ab.
    stem, block, head = 2 * 6, 2 * 9, 2 * 6
    assert epoch_flops(0, 1, 1, 3) == stem + block + head
    assert epoch_flops(1, 0, 1, 3) == 2 * stem + 3 * block + 3 * head


def test_what_a_process_takes_for_the_backward_pass_is_at_least_what_is_counted():
    command = [sys.executable, "-m", "benchmarks.kept", "--depth=200", "--batch=128", "--width=64"]
    found = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    assert found["counted"] == 200 * 2 * 4 * 128 * 64
    assert 0.9 < found["took"] / found["counted"] < 4


def test_fewer_blocks_take_less_time_where_blocks_are_large():
    command = [sys.executable, "-m", "benchmarks.routed", "--width=512", "--share=0.25", "--pairs=3"]
    found = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    assert found["ran"] == pytest.approx(0.25, abs=0.02)
    assert found["ratio"] < 0.7


def test_a_share_of_the_peak_above_one_is_refused():
    peers = pd.DataFrame({"peer": ["gradflow_"] * 2, "seeds": 8, "round": [0, 1], "step": [1e-3, 5e-4], "flops": 5e7})
    of_peak = page._of_the_peak(peers, pd.DataFrame({"multiply_adds": [1e10, 2e11]}))
    assert of_peak.values.tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match=r"^a step took 2\.00 of the measured peak"):
        page._of_the_peak(peers, pd.DataFrame({"multiply_adds": [5e10]}))


def test_the_peak_is_not_below_what_products_reach():
    found = json.loads(subprocess.check_output([sys.executable, "-m", "benchmarks.peak"], cwd=ROOT, text=True))
    assert found["multiply_adds"] > 0.9 * found["products"] > 1e9


def test_the_page_says_what_its_results_say(tmp_path):
    results = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    written = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(written, encoding="utf-8")
    page.write(results, tmp_path)

    assert (tmp_path / "README.md").read_text(encoding="utf-8") == written
