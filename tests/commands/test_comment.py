"""The comment on a pull request: what it says is what DVC says, in a real repository in which a parameter changed."""

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml

from pipelines.comment import Table

ROOT = Path(__file__).parents[2]
FILES = "https://example.org/raw/{commit}"


def claim(key, verdict):
    return {"id": key, "claim": f"What {key} <says> of a|b @somebody", "verdict": verdict}


@pytest.fixture
def project(project):
    """Without the studies, which DVC would read each time."""
    for pipeline in project.root.glob("studies/*/dvc.yaml"):
        if pipeline.parent.name != "ledger":
            shutil.rmtree(pipeline.parent)
    project.run("git", "commit", "--quiet", "--all", "--message", "No studies")
    return project


@pytest.fixture
def rescaled(project):
    """Another scale on a branch, whose results are committed but for one figure, and a verdict that changed."""
    claims = project.root / "reports/claims.json"
    claims.write_text(json.dumps([claim("kept", "holds"), claim("moved", "holds")]), encoding="utf-8")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "Verdicts")
    project.run("git", "switch", "--quiet", "--create", "rescaled")
    project.run("dvc", "exp", "run", "-S", "variants.residual.scale=0.2236")
    claims.write_text(json.dumps([claim("kept", "holds"), claim("moved", "does not hold")]), encoding="utf-8")
    project.run("git", "add", "--all")
    project.run("git", "reset", "--quiet", "reports/figures/activations.png")
    project.run("git", "commit", "--quiet", "--message", "Another scale")
    return project


def written(project, *arguments, code=0):
    done = project.run("python", "-m", "pipelines.comment", *arguments, code=code)
    return done.stderr if code else done.stdout


def rows(comment, columns):
    """The cells of the rows below that head."""
    head = re.escape(f"| {' | '.join(columns)} |")
    (table,) = re.findall(rf"^{head}\n\|[-| ]+\n((?:\|.*\n)*)", comment, re.MULTILINE)
    return [re.split(r" (?<!\\)\| ", line[2:-2]) for line in table.splitlines()]


def numbers(cell):
    """Mean, lowest and highest."""
    found = [float(number) for number in re.findall(r"-?[\d.]+(?:e[-+]\d+)?", cell)]
    return found if len(found) == 3 else found * 3


def test_every_number_of_a_changed_scale_is_that_of_dvc(rescaled):
    comment = written(rescaled, "main", "--files", FILES)

    diff = json.loads(rescaled.run("dvc", "metrics", "diff", "main", "--json").stdout)["reports/metrics.json"]
    whole = json.loads(rescaled.run("dvc", "metrics", "diff", "main", "--json", "--all").stdout)["reports/metrics.json"]
    moved = rows(comment, ["metric", "before", "now", "change"])
    names = {name.strip("`") for name, *_ in moved}
    assert names == {re.sub(r"\.(mean|std|min|max|seeds)$", "", key) for key in diff} and "residual.val_loss" in names
    checked = 0
    for cell, before, now, change in moved:
        name = cell.strip("`")
        key = f"{name}.mean" if f"{name}.mean" in whole else name
        for side, shown in (("old", before), ("new", now)):
            ends = [whole.get(f"{name}.{end}", whole[key])[side] for end in ("min", "max")]
            assert numbers(shown) == pytest.approx([whole[key][side], *ends], rel=1e-4), cell
        by, share = re.fullmatch(r"(\S+)(?: \((\S+)%\))?", change).groups()
        assert float(by) == pytest.approx(whole[key]["diff"], rel=1e-3)
        if share:
            assert float(share) == pytest.approx(100 * whole[key]["diff"] / abs(whole[key]["old"]), abs=0.06)
        checked += 1
    assert checked >= 5
    assert f"{len(moved)} metrics moved" in comment.splitlines()[3]
    [parameter] = rows(comment, ["file", "parameter", "before", "now"])
    assert parameter == ["`params.yaml`", "`variants.residual.scale`", "`0.7071067811865476`", "`0.2236`"]


def test_verdicts_and_figures_that_changed_are_shown_and_only_those(rescaled):
    comment = written(rescaled, "main", "--files", FILES, "--run", "https://example.org/run")

    before, now = (rescaled.run("git", "rev-parse", name).stdout.strip() for name in ("main", "HEAD"))
    assert "**1 verdict changed, " in comment and "[All results of this run](https://example.org/run)" in comment
    assert rows(comment, ["claim", "before", "now"]) == [
        [r"What moved \<says\> of a\|b \@somebody `moved`", "**holds**", "**does not hold**"]
    ]
    figures = {name.strip("`"): cells for name, *cells in rows(comment, ["figure", "before", "now"])}
    differs = rescaled.run("git", "diff", "--name-only", "main", "--", "*.png").stdout.split()
    assert sorted(figures) == sorted(differs) and "reports/figures/gradient_flow.png" in figures
    for name, cells in figures.items():
        assert f'src="https://example.org/raw/{before}/{name}"' in cells[0]
        made_here = cells[1] == "made by this run"
        assert (
            made_here if name.endswith("activations.png") else f'src="https://example.org/raw/{now}/{name}"' in cells[1]
        )
    assert comment == written(rescaled, "main", "--files", FILES, "--run", "https://example.org/run"), "twice the same"


def test_where_nothing_changed_that_is_said(project):
    assert written(project, "HEAD").splitlines()[3] == "**no verdicts changed, no metrics moved, no figures changed.**"
    assert "|" not in written(project, "HEAD")


def test_other_projects_of_dvc_are_compared_too_and_what_was_not_run_again_is_named(project):
    served = project.root / "serving/reports/metrics.json"
    served.parent.mkdir(exist_ok=True)
    served.write_text(
        '{"difference": 0.25, "below": -0.5, "from_0": 0, "gone": 1, "ms": {"mean": 2, "min": 1, "max": 4}}',
        encoding="utf-8",
    )
    project.run("git", "add", "serving")
    project.run("git", "commit", "--quiet", "--message", "Served")
    served.write_text(
        '{"difference": 0.5, "below": -0.25, "from_0": 2, "new": 3, "ms": {"mean": 3, "min": 1, "max": 4}}',
        encoding="utf-8",
    )
    settings = project.root / "serving/params.yaml"
    settings.write_text(settings.read_text(encoding="utf-8") + "added: 1\n", encoding="utf-8")
    project.change({"train.lr": 0.05})

    comment = written(project, "HEAD")

    assert "Not run again, though out of date: `dvc.yaml`.\n" in comment
    assert "**6 metrics moved in `serving/reports/metrics.json`**" in comment
    assert rows(comment, ["metric", "before", "now", "change"]) == [
        ["`below`", "-0.5", "-0.25", "+0.25 (+50.0%)"],
        ["`difference`", "0.25", "0.5", "+0.25 (+100.0%)"],
        ["`from_0`", "0", "2", "+2"],
        ["`gone`", "1", "-", ""],
        ["`ms`", "2 (1 to 4)", "3 (1 to 4)", "+1 (+50.0%)"],
        ["`new`", "-", "3", ""],
    ]
    assert [row[:2] for row in rows(comment, ["file", "parameter", "before", "now"])] == [
        ["`params.yaml`", "`train.lr`"],
        ["`serving/params.yaml`", "`added`"],
    ]


def test_a_claim_or_a_figure_that_is_new_or_gone_has_one_side(project):
    claims, figures = project.root / "reports/claims.json", project.root / "reports/figures"
    claims.write_text(json.dumps([claim("kept", "holds"), claim("gone", "holds")]), encoding="utf-8")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "Verdicts")
    claims.write_text(json.dumps([claim("kept", "holds"), claim("new", "does not hold")]), encoding="utf-8")
    (figures / "activations.png").rename(figures / "another.png")

    comment = written(project, "HEAD")

    changed = rows(comment, ["claim", "before", "now"])
    assert [cells for _, *cells in changed] == [["-", "**does not hold**"], ["**holds**", "-"]]
    assert "`new`" in changed[0][0] and "`gone`" in changed[1][0]
    before = project.run("git", "rev-parse", "HEAD").stdout[:10]
    assert rows(comment, ["figure", "before", "now"]) == [
        ["`reports/figures/activations.png`", f"`{before}`", "-"],
        ["`reports/figures/another.png`", "-", "made by this run"],
    ]


def test_a_stage_whose_command_changed_is_out_of_date(project):
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("python -m", "python -B -m", 1), encoding="utf-8")
    assert "Not run again, though out of date: `dvc.yaml`.\n" in written(project, "HEAD")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "gradflow: BASE: must be a revision that git knows, got 'nowhere'\n"),
        (["--", "--all"], "gradflow: BASE: must be a revision that git knows, got '--all'\n"),
        (["HEAD", "--files", "here"], "gradflow: --files: must have {commit} in it, got 'here'\n"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(project, arguments, line):
    assert written(project, *arguments, code=2) == line


def test_a_metrics_file_that_cannot_be_read_is_named(project):
    (project.root / "reports/metrics.json").write_text("{", encoding="utf-8")
    assert re.fullmatch(r"gradflow: reports/metrics.json: cannot be read: .*\n", written(project, "HEAD", code=1))


def test_a_comment_is_never_longer_than_github_takes(project):
    metrics = {f"metric_{number}": number for number in range(3_000)}
    (project.root / "reports/metrics.json").write_text(json.dumps(metrics), encoding="utf-8")

    comment = written(project, "HEAD")

    assert 60_000 < len(comment) <= 65_536
    assert comment.count("<details>") == comment.count("</details>") == 1
    left = int(re.search(r"^(\d+) more$", comment, re.MULTILINE)[1])
    shown = len(rows(comment, ["metric", "before", "now", "change"]))
    moved = int(re.search(r"(\d+) metrics moved", comment)[1])
    assert shown + left == moved >= 3_000
    assert "`dvc metrics diff`" in comment


def test_a_table_keeps_to_its_room():
    table = Table("title", ("a", "b"), [("cell", "x" * number) for number in range(40)])
    lengths = [len(table.text(room)) for room in range(2_000)]
    assert all(length <= room for room, length in enumerate(lengths))
    assert lengths[50] == 0 and lengths[1_500] == lengths[-1] == len(table.text(10**6)) > 1_000


def test_make_comment_runs_what_a_branch_changes_from_where_it_left_main(project, tmp_path):
    make = ("make", "-o", ".venv/installed")
    project.run(*make, "remote", f"URL={tmp_path / 'storage'}")
    project.run("git", "commit", "--quiet", "--all", "--message", "Where results are")
    project.run("git", "clone", "--quiet", project.root, tmp_path / "clone of CI")
    ci = type(project)(tmp_path / "clone of CI", project.env)
    ci.run("git", "switch", "--quiet", "--create", "rescaled")
    ci.change({"variants.residual.scale": 0.2236})
    ci.run("git", "commit", "--quiet", "--all", "--message", "Another scale")
    for name in ("main", "rescaled"):  # main moves on, which is none of this branch's doing
        ci.run("git", "switch", "--quiet", name)
    assert ci.run("git", "merge-base", "main", "HEAD").stdout == ci.run("git", "rev-parse", "main").stdout
    (ci.root / "studies/ledger/dvc.yaml").write_text("stages:\n  claims:\n    cmd: echo judged\n", encoding="utf-8")

    said = ci.run(*make, "comment", "BASE=main").stdout

    ran = set(re.findall(r"Running stage '(\S+)'", said))
    assert "train@residual" in ran and not {"fetch", "scale", "train@plain"} & ran, "the cache of the remote has those"
    comment = (ci.root / "comment.md").read_text(encoding="utf-8")
    assert "`variants.residual.scale`" in comment and "`residual.val_loss`" in comment
    assert "comment.md" not in ci.run("git", "status", "--porcelain").stdout


def workflow(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_on_github_nothing_that_runs_a_pull_requests_code_may_write_and_actions_are_pinned():
    text = workflow(".github/workflows/results.yml")
    jobs = text["jobs"]
    assert text[True] == "pull_request" and text["permissions"] == {}  # YAML takes `on` for true
    assert jobs["results"]["permissions"] == {"contents": "read"}
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    assert "head.repo.full_name == github.repository" in jobs["comment"]["if"]
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)
    assert not any("checkout" in step.get("uses", "") for step in jobs["comment"]["steps"])
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert not any("${{" in script for script in scripts), "values come through the environment, never as code"
    assert "make comment" in scripts


@pytest.fixture
def gitlab(tmp_path):
    """As much of GitLab's notes as the workflow asks for: a list, a new one, another text."""
    notes, asked = [{"id": 7, "body": "Nice"}], []

    class Notes(BaseHTTPRequestHandler):
        def answer(self):
            asked.append((self.command, self.path, self.headers["PRIVATE-TOKEN"]))
            text = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            if self.command == "POST":
                notes.append({"id": 8, "body": parse_qs(text)["body"][0]})
            elif self.command == "PUT":
                (note,) = [note for note in notes if note["id"] == int(self.path.rpartition("/")[2])]
                note["body"] = parse_qs(text)["body"][0]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(notes).encode())

        do_GET = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Notes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, notes, asked
        server.shutdown()


def test_on_gitlab_the_note_is_written_once_and_then_anew(project, gitlab):
    port, notes, asked = gitlab
    script = "set -e\n" + "\n".join(workflow(".gitlab-ci.yml")["note"]["script"])
    env = {
        "CI_API_V4_URL": f"http://127.0.0.1:{port}",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_IID": "2",
        "RESULTS_TOKEN": "secret",
    }
    for body in ("<!-- gradflow: results -->\nfirst & foremost", "<!-- gradflow: results -->\nsecond"):
        (project.root / "comment.md").write_text(body, encoding="utf-8")
        project.run("sh", "-c", script, **env)
        assert [note["body"] for note in notes] == ["Nice", body]
    assert [method for method, *_ in asked] == ["GET", "POST", "GET", "PUT"]
    assert {token for *_, token in asked} == {"secret"}
