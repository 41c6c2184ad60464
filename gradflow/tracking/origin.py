"""Where a result comes from: the commit, and the DVC experiment if it is one."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """Commit that the code is of, name of the DVC experiment, and commit that it starts from; None: no such thing."""

    commit: str | None = None
    experiment: str | None = None
    baseline: str | None = None

    def tags(self) -> dict[str, str]:
        """What is known, as tags."""
        known = {"git_commit": self.commit, "dvc_exp_name": self.experiment, "dvc_baseline_rev": self.baseline}
        return {name: value for name, value in known.items() if value}


def current() -> Origin:
    """Of the current run. An experiment is committed only after it has run, so its baseline is used."""
    baseline = os.environ.get("DVC_EXP_BASELINE_REV") or None
    return Origin(baseline or head(Path.cwd()), os.environ.get("DVC_EXP_NAME") or None, baseline)


def head(folder: Path) -> str | None:
    """The commit that is checked out, None outside git."""
    return git(folder, "rev-parse", "--verify", "--quiet", "HEAD").strip() or None


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints; nothing where it fails or there is no git."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
