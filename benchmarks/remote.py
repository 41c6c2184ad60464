"""remote: what a point of a sweep costs a machine of a cluster beside the experiment itself, the first and the 1,000th.

Instead of a thousand points the git remote gets as many further names of the first experiment: git and DVC have as
much to look through.
"""

import json
import resource
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.process import MODULE, timed
from pipelines import remote


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _filled(bare: Path, others: int) -> None:
    git = ["git", "-C", str(bare)]
    listed = subprocess.check_output(
        [*git, "for-each-ref", "--count=1", "--format=%(objectname) %(refname)", "refs/exps"], text=True
    )
    commit, ref = listed.split()
    lines = [f"create {ref.rpartition('/')[0]}/other-{number} {commit}\n" for number in range(others)]
    subprocess.run([*git, "update-ref", "--stdin"], input="".join(lines), text=True, check=True)


@click.command()
@click.argument("done", type=click.Path(path_type=Path, file_okay=False))
@click.option("--points", type=click.IntRange(1), default=8, show_default=True, help="Of each kind.")
@click.option("--others", type=click.IntRange(1), default=1000, show_default=True, help="Experiments there before.")
def main(done: Path, points: int, others: int) -> None:
    """Run points that redraw the figures of the clone DONE; print the CPU seconds of each step of each point.

    By turns they find few other experiments in the git remote, and many.
    """
    seconds: list[dict[str, float]] = []
    run = remote._run

    def measured(command: Sequence[str], folder: Path, **options: Any) -> tuple[int, Sequence[str]]:
        words = [word for word in command if not word.startswith("-")]
        step = " ".join(words[words.index("dvc") + 1 :][:2]) if "dvc" in words else f"git {words[1]}"
        before = _cpu()
        try:
            return run(command, folder, **options)
        finally:
            seconds[-1][step] += _cpu() - before

    remote._run = measured
    with tempfile.TemporaryDirectory(prefix="gradflow-bench-") as base:
        remote.HOME = Path(base, "home")
        project, bare, full = (Path(base, name) for name in ("project", "bare.git", "full.git"))
        shutil.copytree(done, project, symlinks=True)
        for command in (
            ["git", "clone", "--quiet", "--bare", ".", bare],
            ["git", "remote", "set-url", "origin", bare],
            [*MODULE, "dvc", "remote", "add", "--default", "storage", Path(base, "storage")],
            ["git", "add", "--all"],
            ["git", "-c", "user.name=-", "-c", "user.email=-", "commit", "--quiet", "--message", "Done"],
            ["git", "push", "--quiet", "origin", "HEAD:refs/heads/done"],
            [*MODULE, "dvc", "push", "--quiet"],
        ):
            timed(command, project)
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=project, text=True).strip()
        for number in range(2 * points):
            if number == 1:
                shutil.copytree(bare, full)
                _filled(full, others)
            seconds.append(defaultdict(float))
            job = remote.Job(
                name=f"point-{number}",
                overrides=(f"plot.dpi={50 + number}",),
                repository=str(full if number % 2 else bare),
                commit=commit,
                edits=b"",
                folder=".",
                project=".",
                leash="pipelines/leash.py",
                author=("Bench", "bench@localhost"),
                env={"MLFLOW_TRACKING_URI": f"sqlite:///{base}/mlflow.db"},
            )
            ended = remote.run(job)
            if ended.code:
                raise RuntimeError("\n".join(ended.lines))
    click.echo(json.dumps(seconds))


if __name__ == "__main__":
    main()
