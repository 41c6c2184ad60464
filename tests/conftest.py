"""A small copy of this project for each test: real git, real DVC, the pipeline run once, in a path with a space."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

CHECKOUT = Path(__file__).parents[1]

# Of Chromium: no window, and nothing that it asks of its makers.
CHROMIUM = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

# A test run in the background of a script is started with Ctrl-C ignored, and would hand that on to what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A test run that is terminated ends as with Ctrl-C, so that fixtures end the servers and processes that they started.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Small enough that a run of the whole pipeline is mostly start-up.
SMALL = {
    "depth": 3,
    "width": 16,
    "seeds": 2,
    "data.samples": 120,
    "train.epochs": 2,
    "train.batch_size": 32,
    "probe.samples": 32,
    "plot.dpi": 50,
}

# What could bring settings of the user's machine into a test.
_PRIVATE = (
    "DVC_",
    "GIT_",
    "GRADFLOW_",
    "HF_",
    "HUGGING",
    "MAKE",
    "MFLAGS",
    "MLFLOW_",
    "MPL",
    "PREFECT_",
    "PYTHON",
    "XDG_",
)
_PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Project:
    """A repository of git and DVC with this project's files."""

    root: Path
    env: dict[str, str]

    def run(self, *command: object, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the root; it must end with that exit code, None allows any."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.root,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert code is None or done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def repro(self, *arguments: str) -> set[str]:
        """Run ``dvc repro`` and return the names of the stages that it ran or took from the run cache."""
        output = self.run("dvc", "repro", *arguments).stdout
        return set(re.findall(r"^(?:Running stage|Stage) '(\S+)'(?::| is cached)", output, re.MULTILINE))

    def params(self) -> dict:
        """What params.yaml holds."""
        return yaml.safe_load((self.root / "params.yaml").read_text(encoding="utf-8"))

    def lock(self) -> dict:
        """What dvc.lock holds; the order of its stages is that in which they happened to run."""
        return yaml.safe_load((self.root / "dvc.lock").read_text(encoding="utf-8"))

    def change(self, values: dict[str, object]) -> None:
        """Write values under dotted keys into params.yaml."""
        document = self.params()
        for key, value in values.items():
            *sections, last = key.split(".")
            section = document
            for name in sections:
                section = section[name]
            section[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def copy(self, root: Path) -> "Project":
        """The same, cache and history included, in another folder."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root, self.env)


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """A folder that all workers of this test run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def clean_env(shared):
    """Environment for subprocesses: this Python first, and nothing of the user's settings."""
    home = shared / "home"
    home.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(_PRIVATE + _PROXIES)}
    identity = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "Test"), ("EMAIL", "test@localhost"))
    }
    return env | identity | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "SHELL": "/bin/sh",
        "COLUMNS": "200",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-cache"),
        "HF_HOME": str(home / "huggingface"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{shared / 'mlflow.db'}",  # what is tracked once need not be again
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "GRADFLOW_DEVICE": "cpu",
    }  # fmt: skip


@pytest.fixture(scope="session")
def fresh(shared, clean_env):
    """The project as cloned, with small parameters: committed, never run. Not to be changed, only copied."""
    project = Project(shared / "fresh project", clean_env)
    with FileLock(shared / "fresh.lock"):
        if not project.root.exists():
            draft = Project(shared / "draft", clean_env)
            for name in _project_files():
                target = draft.root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, target)
            draft.change(SMALL)
            draft.run("git", "init", "--quiet", "--initial-branch=main")
            draft.run("git", "add", "--all")
            draft.run("git", "commit", "--quiet", "--message", "Project")
            draft.root.rename(project.root)
    return project


@pytest.fixture(scope="session")
def finished(shared, fresh):
    """The same after one ``dvc repro``, committed. Not to be changed, only looked at or copied."""
    project = Project(shared / "finished project", fresh.env)
    with FileLock(shared / "finished.lock"):
        if not project.root.exists():
            draft = fresh.copy(shared / "draft finished")
            draft.run("dvc", "repro")
            draft.run("git", "add", "--all")
            draft.run("git", "commit", "--quiet", "--message", "Results")
            draft.root.rename(project.root)
    return project


@pytest.fixture
def clone(fresh, tmp_path):
    """A project of the test's own that has not run."""
    return fresh.copy(tmp_path / "a clone")


@pytest.fixture
def project(finished, tmp_path):
    """A finished project of the test's own."""
    return finished.copy(tmp_path / "a project")


@pytest.fixture
def started(tmp_path):
    """Start a command in a project without waiting for it; what still runs at the end is killed."""
    processes = []

    def start(project, *command, **env):
        log = tmp_path / f"started-{len(processes)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=project.root,
                env=project.env | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process.log = log
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def eventually():
    """Wait until a condition holds and return what it returned."""

    def wait(condition, seconds=60, pause=0.2):
        patience = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < patience, f"not within {seconds} s: {condition}"
            time.sleep(pause)
        return value

    return wait


@pytest.fixture(scope="session")
def catches():
    """Whether a process has a handler for a signal, as Python itself has none for SIGTERM."""

    def look(pid, number):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        mask = int(re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)[1], 16)
        return bool(mask >> (number - 1) & 1)

    return look


@pytest.fixture(scope="session")
def small_studies():
    """Parameters of the studies, by the name of each, small enough that a run is mostly start-up."""
    return {
        "identity": {
            "depth": 3,
            "width": 8,
            "seeds": 2,
            "train.steps": 6,
            "train.batch_size": 16,
            "probe.steps": [2, 4],
        },
        "recipe": SMALL
        | {
            "probe.every": 1,
            "variants": {
                "plain": {"block": "plain"},
                "own": {"block": "residual", "depth": 5, "train": {"init": "he", "lr": 0.05, "clip_norm": 1.0}},
            },
        },
        "depth": SMALL | {"variants": {f"plain_{depth}": {"block": "plain", "depth": depth} for depth in (2, 3)}},
        "norms": SMALL
        | {
            "variants": {
                "pre": {"block": "prenorm"},
                "pre_float16": {"block": "prenorm", "train": {"precision": "float16", "loss_scale": 8.0}},
            },
        },
        "zoo": SMALL | {"variants": {f"rezero_{depth}": {"block": "rezero", "depth": depth} for depth in (2, 3)}},
        "initialisation": {"depth": 3, "width": 8, "seeds": 3, "inputs.rows": 8, "line.points": 5},
        "scaling": {
            "width": 8,
            "seeds": 2,
            "teacher.hidden": 2,
            "train.steps": 4,
            "train.batch_size": 8,
            "train.log2_lrs": [-6, -5],
            "measure": {"rows": 16, "steps": 2},
            "variants": {
                name: {"block": "prenorm", "depth": depth, "exponent": exponent, "transfer": exponent > 0}
                for name, depth, exponent in (("zero_2", 2, 0.0), ("half_2", 2, 0.5), ("half_4", 4, 0.5))
            },
        },
        "lesions": {
            "depth": 3,
            "width": 8,
            "seeds": 2,
            "moons.samples": 60,
            "train.epochs": 2,
            "train.batch_size": 16,
            "variants": {
                "plain_he": {"block": "plain", "init": "he", "survival": 1.0},
                "stochastic": {"block": "residual", "init": "default", "survival": 0.5},
            },
            "starts": {"he": {"block": "residual", "init": "he", "width": 16}},
            "lesions": {"draws": 2, "swaps": [1, 2], "seed": 0},
            "paths.rows": 8,
        },
        "routing": {
            "depth": 3,
            "width": 8,
            "seeds": 2,
            "moons.samples": 60,
            "spirals.samples": 60,
            "train.epochs": 2,
            "train.batch_size": 16,
            "variants": {
                name: {"block": "residual", "init": "he", "task": task, "survival": 1.0, "losses": losses}
                | {"controllers": controllers}
                for name, task, losses, controllers in (
                    ("moons", "moons", "last", ["learned", "learned_from_norm", "learned_jointly"]),
                    ("spirals_exits", "spirals", "every", []),
                )
            },
            "routing": {"shares": [0.34, 1.0], "train_rows": 20, "draws": 2, "seed": 0},
            "learning.epochs": 2,
            "shown": {"variants": ["moons", "spirals_exits"], "rows": 10},
        },
        "gates": {
            "depth": 3,
            "width": 8,
            "seeds": 2,
            "moons.samples": 60,
            "train.epochs": 2,
            "train.batch_size": 16,
            "variants": {
                "residual": {"block": "residual", "init": "default", "rows": "all"},
                "input_2": {"block": "gated", "gate": "input", "init": "default", "rows": "all"},
                "input_2_gap": {"block": "gated", "gate": "input", "init": "default", "rows": "outside"},
            },
            "shifts.box_points": 20,
            "measure.rows": 8,
            "plot": {"variants": ["residual", "input_2"], "norms": ["validation"], "gates": ["input_2", "input_2_gap"]},
        },
        "memory": {
            "depth": 3,
            "width": 8,
            "seeds": 2,
            "moons.samples": 60,
            "train.epochs": 2,
            "train.batch_size": 16,
            "variants": {
                "residual": {"block": "residual", "init": "default"},
                "gated": {"block": "gated", "init": "default"},
            },
            "sketched": {
                "residual_4": {
                    "block": "residual",
                    "init": "default",
                    **{"buckets": 4, "balanced": True, "scalars": False},
                },
            },
            "errors": {"buckets": [8, 4], "draws": 4, "share": 0.5, "seed": 0},
            "rules": {"mean": 8, "low": 2, "gate": 0.001},
            "saved": {"variant": "residual", "depths": [2, 4], "shapes": [[16, 8]]},
        },
        "mixing": {
            "depth": 3,
            "width": 8,
            "seeds": 2,
            "moons.samples": 60,
            "train.epochs": 2,
            "train.batch_size": 16,
            "variants": {
                "residual": {"block": "residual", "init": "default", "mixing": None},
                "attention": {
                    "block": "residual",
                    "init": "default",
                    "mixing": {"rule": "depth_attention", "form": "alone", "scaled": True},
                },
                "floor": {"block": "floored", "init": "default", "mixing": None},
            },
            "measure.rows": 8,
        },
        "shares": {
            "depth": 3,
            "width": 8,
            "seeds": 2,
            "moons.samples": 60,
            "train.epochs": 2,
            "train.batch_size": 16,
            "variants": {
                name: {"block": block, "init": "xavier", "share": share, "keeps": "mean" if share < 1 else "nothing"}
                for name, block, share in (
                    ("whole", "linear_terminated", 1.0),
                    ("half", "linear_terminated", 0.5),
                    ("experts", "experts", 1.0),
                )
            },
            "measure": {"shares": [0.5, 1.0], "seed": 0},
            "growth": {
                "depths": [3],
                "width": 8,
                "scale": 1.0,
                "exponents": [0.5],
                "shares": [0.5, 1.0],
                "rows": 8,
                "seeds": 2,
                "seed": 0,
            },
        },
        "streams": {
            "depth": 2,
            "width": 8,
            "heads": 2,
            "seeds": 2,
            "sequences": {
                "tokens": 6,
                "positions": 6,
                "shortest": 2,
                "longest": 3,
                "validation": 8,
                "seed": 0,
            },
            "train.batch_size": 4,
            "train.every": 2,
            "variants": {
                name: {"placement": placement, "skip": skip, "scale": 1.0, "depth_over": over, "init": "gpt2"}
                | {"lr": 0.01, "warmup": 2, "steps": 4}
                for name, placement, skip, over in (("post", "post", True, 1), ("none", "pre", False, 2))
            },
            "measure": {"sequences": 4, "lens_steps": 2, "lens_lr": 0.01, "patched": 3},
            "twin.depth": 2,
            "twin.width": 8,
            "twin.hidden": 4,
            "twin.seeds": 2,
            "twin.digits.validation": 0.9,
            "twin.train.epochs": 2,
            "twin.measure.lens_steps": 2,
        },
        "convnets": {
            "depth": 3,
            "seeds": 2,
            "digits": {"validation": 0.9, "seed": 0},
            "train.epochs": 2,
            "train.batch_size": 64,
            "variants": {
                name: {"block": block, "skip": name != "plain", "batch_norm": name != "unnormed"}
                | {"shortcut": "projection", "padding": "zeros", "clip_norm": None}
                | {"widths": [4, 8], "depth_over": 3 if name == "third" else 1}
                for name, block in (
                    ("plain", "basic"),
                    ("third", "basic"),
                    ("unnormed", "basic"),
                    ("bottleneck", "bottleneck"),
                )
            },
            "denoise": {
                "widths": [2, 3, 2],
                "seeds": 2,
                "train": {"init": "he", "steps": 4, "batch_size": 8, "every": 2, "lr": 0.003, "seed": 0},
                "variants": {
                    "skipped": {"noise": 0.1, "long_skips": True},
                    "zeroed": {"noise": 0.1, "long_skips": False},
                },
                "measure": {"starts": ["he"], "shown": 2},
            },
            "plot": {"by_depth": ["plain", "third", "unnormed"], "costs": ["third", "bottleneck"]},
        },
        "overflow": {
            "depths": [1, 3],
            "width": 8,
            "seeds": 3,
            "inputs.rows": 4,
            "overflow.step": 1.0,
            "variants": {
                "none": {"block": "linear_terminated", "scale": 0.5, "init": "he"},
                "peri": {"block": "perinorm", "init": "he"},
            },
        },
    }


@pytest.fixture
def study(fresh, small_studies, tmp_path):
    """Make the folder of a study in a clone, small, by its name."""

    def make(name):
        clone = fresh.copy(tmp_path / f"a clone for {name}")
        found = replace(clone, root=clone.root / "studies" / name)
        found.change(small_studies[name])
        found.run("git", "commit", "--quiet", "--all", "--message", "Small")
        return found

    return make


@pytest.fixture(scope="session")
def studied(shared, finished, small_studies):
    """A project in which the root and one study have run, committed. Not to be changed, only copied or cloned."""
    project = replace(finished, root=shared / "project with a study")
    with FileLock(shared / "studied.lock"):
        if not project.root.exists():
            draft = finished.copy(shared / "draft with a study")
            study = replace(draft, root=draft.root / "studies" / "initialisation")
            variants = {name: start for name, start in study.params()["variants"].items() if name.endswith("_he")}
            study.change(small_studies["initialisation"] | {"variants": variants})
            study.run("dvc", "repro")
            draft.run("git", "add", "--all")
            draft.run("git", "commit", "--quiet", "--message", "Results of a study")
            draft.root.rename(project.root)
    return project


def _project_files() -> list[str]:
    """Files that git tracks or would track, without the results that lie among them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = (name for name in listed.split("\0") if name)
    result = re.compile(r"((studies/\w+|serving)/)?reports/|(.*/)?dvc\.lock$")
    return [name for name in names if not result.match(name) and (CHECKOUT / name).is_file()]


@pytest.fixture(scope="session")
def reachable():
    """The addresses at which somebody listens on a port, as Linux tells them: only 127.0.0.1 is this machine's own."""

    def addresses(port):
        lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
        local = [line.split()[1].split(":") for line in lines if line.split()[3] == "0A"]  # those that listen
        found = {bytes.fromhex(address)[::-1] for address, number in local if int(number, 16) == int(port)}
        return {".".join(map(str, address)) for address in found}

    return addresses


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright  # 0.2 s, for these tests alone

    chromium = shutil.which("chromium")
    assert chromium, "these tests drive Chromium, install it: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM])
        yield browser
        browser.close()
