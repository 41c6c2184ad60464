"""make serve-bench keeps its file for runs of all legs."""

import json

import pytest
from click.testing import CliRunner

from benchmarks import serving
from serving.legs import finding


@pytest.mark.parametrize(
    ("options", "missing", "written"),
    [
        ([], [], True),
        ([word for leg in finding.names() for word in ("--leg", leg)], [], True),
        (["--leg", "litserve"], [], False),
        ([], ["vllm"], False),
    ],
)
def test_its_file_is_written_only_when_all_legs_were_measured(monkeypatch, tmp_path, options, missing, written):
    for name in finding.names():
        monkeypatch.setattr(finding.named(name), "missing", lambda name=name: "needs more" * (name in missing))
    monkeypatch.setattr(serving, "_measured", lambda leg: {"leg": leg})
    monkeypatch.setattr(serving, "CHECKOUT", tmp_path)
    results = tmp_path / "benchmarks/serving.json"
    results.parent.mkdir()
    results.write_text("earlier ones", encoding="utf-8")
    done = CliRunner().invoke(serving.main, options, catch_exceptions=False)
    assert done.exit_code == 0 and '{"leg": "litserve"}' in done.stdout
    assert ("not all legs were measured" in done.stderr) == (not written)
    if written:
        rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
        assert [row["leg"] for row in rows] == finding.names()
    else:
        assert results.read_text(encoding="utf-8") == "earlier ones"
