"""The first commands that people type: the README's where nothing has run, and that for a file of one's own."""

import json
import re
import shlex
from pathlib import Path

import pandas as pd

from gradflow.params.loading import load
from gradflow.recipe import Recipe

ROOT = Path(__file__).parents[2]


def test_the_first_command_of_the_readme_works_where_nothing_has_run(clone):
    """With what is installed already: -o leaves that as it is."""
    clone.run("git", "clean", "-ffdxq", "--exclude=.venv")
    done = clone.run("make", "-o", ".venv/installed", "reproduce")
    assert "gradflow:" not in done.stderr
    assert (clone.root / "reports/figures/gradient_flow.png").exists()


def test_the_documented_command_works_with_a_hundred_rows_and_the_parameters_that_come_with_the_project(clone):
    guide = (ROOT / "data/own/README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```\n(dvc .*)\n```$", guide, re.MULTILINE)
    given = load(Recipe, ROOT / "params.yaml")
    clone.change({"train.batch_size": given.train.batch_size, "probe.samples": given.probe.samples})
    clone.change({"data.samples": given.data.samples})
    rows = pd.DataFrame({"a": [row % 7 + 9 * (row % 2) for row in range(100)], "b": range(100)})
    rows.assign(label=[("no", "yes")[row % 2] for row in range(100)]).to_csv(
        clone.root / "data/own/NAME.csv", index=False
    )

    clone.run(*shlex.split(command))

    about = json.loads((clone.root / "data/raw/source.json").read_text(encoding="utf-8"))
    assert (about["path"], about["rows"]) == ("data/own/NAME.csv", 100)
    assert (clone.root / "reports/figures/decision_boundary.png").exists()
