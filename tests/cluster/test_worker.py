"""A worker of another system user, with a clone of its own, takes the runs of a deployment."""

import json
import os
import pwd
import subprocess
import urllib.request
from dataclasses import replace

import pytest

from tests.cluster.conftest import free_port
from tests.cluster.test_servers import responds, running

SOMEBODY = "daemon"  # a user that each Debian has


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process as somebody else")
def test_a_worker_of_another_user_runs_the_nightly_deployment_in_its_own_clone(project, tmp_path, eventually):
    owner = pwd.getpwnam(SOMEBODY)
    theirs = tmp_path / "theirs"
    clone = project.copy(theirs / "clone")
    for name in ("prefect", "tmp"):
        (theirs / name).mkdir()
    for path in (theirs, *theirs.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    project.run("git", "commit", "--quiet", "--allow-empty", "--message", "The deployer is further on")

    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    api = {"PREFECT_API_URL": address, "PREFECT_HOME": str(tmp_path / "prefect")}
    own = clone.env | {
        "PREFECT_API_URL": address,
        "PREFECT_HOME": str(theirs / "prefect"),
        "TMPDIR": str(theirs / "tmp"),
        "GRADFLOW_CHECKOUT": str(clone.root),
        "MLFLOW_TRACKING_URI": "",
    }
    own |= {
        name: str(theirs) for name in ("HOME", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR")
    }
    own |= {"MPLCONFIGDIR": str(theirs), "HF_HOME": str(theirs)}
    server = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui"]
    # Root's Python may lie where nobody else can read; writing takes the rights of the user.
    may_read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    somebody = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={owner.pw_gid}", "--clear-groups", *may_read]
    worker = [*somebody, "prefect", "worker", "start", "--pool", "gradflow"]
    deployer = replace(project, env={k: v for k, v in project.env.items() if k != "GRADFLOW_CHECKOUT"} | api)

    def asked(what):
        request = urllib.request.Request(
            f"{address}/{what}/filter", data=b"{}", headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    with running(
        server, tmp_path / "server.log", lambda: responds(f"{address}/health"), cwd=tmp_path, env=deployer.env
    ):
        deployer.run("prefect", "work-pool", "create", "gradflow", "--type", "process")
        deployer.run("prefect", "deploy", "--all", "--no-prompt")
        with running(worker, tmp_path / "worker.log", lambda: True, env=own, cwd=clone.root):
            deployer.run("prefect", "deployment", "run", "reproduce/nightly-reproduce")

            def ended():
                runs = [run for run in asked("flow_runs") if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]
                return runs and runs[0]

            run = eventually(ended, seconds=180)
    assert run["state_name"] == "Completed", (tmp_path / "worker.log").read_text()[-3000:]
    held = subprocess.check_output(["find", clone.root, "-newer", tmp_path / "server.log", "-user", SOMEBODY])
    assert held, "it worked in its own clone"
