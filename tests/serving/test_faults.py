"""A server goes on when what is behind it dies, and leaves nothing behind when it ends itself."""

import os
import signal
import time

import httpx
import psutil
import pytest

POINT = {"points": [[0.5, 0.25]]}


def answers(client):
    try:
        return client.post("/predict", json=POINT, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def worker(server):
    """The process that holds the network: the largest below the server."""
    return max(server.below(), key=lambda process: process.memory_info().rss)


def whole(server):
    """The model server's first process, below the one that ends it."""
    return psutil.Process(server.process.pid).children()[0].children()[0]


def listener(server):
    """The process that speaks HTTP, on which all others wait: the last one that was started."""
    return max(
        (each for each in server.below() if each.net_connections("tcp")), key=lambda process: process.create_time()
    )


# A worker is started again by LitServe; else all of it is, which on a busy machine takes as long as its first start.
@pytest.mark.parametrize(("victim", "seconds"), [(worker, 20), (whole, 60), (listener, 60)])
def test_after_a_kill_the_server_answers_again(start, eventually, victim, seconds):
    with start() as server, server.client() as client:
        assert answers(client)
        killed = victim(server)
        killed.kill()
        began = time.monotonic()
        time.sleep(1.5)  # so that an answer that was on its way does not count
        eventually(lambda: answers(client), seconds=seconds - 1.5)
        print(f"{victim.__name__}: {time.monotonic() - began:.1f} s")
        eventually(lambda: client.get("/health").status_code == 200, seconds=60)


def test_a_server_whose_worker_hangs_is_replaced(start, eventually):
    """Its worker neither works nor ends, while its front still says that all is well."""
    with start() as server, server.client() as client:
        stopped = worker(server)
        stopped.suspend()
        assert not answers(client)
        eventually(lambda: answers(client), seconds=90)
        eventually(lambda: not stopped.is_running(), seconds=30)


def test_while_nothing_answers_clients_are_told_to_come_back(start, eventually):
    with start() as server, server.client() as client:
        (leash,) = psutil.Process(server.process.pid).children()
        for each in leash.children(recursive=True):  # all at once: what is left of it might answer once more
            each.kill()
        refused = eventually(lambda: (answer := client.post("/predict", json=POINT)).status_code == 503 and answer)
        assert refused.headers["Retry-After"] == "1"
        assert set(refused.json()) == {"error"} and "Traceback" not in refused.text
        eventually(lambda: answers(client), seconds=30)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_server_that_is_ended(eventually, start, number):
    with start() as server:
        below = server.below()
        os.kill(server.process.pid, number)
        server.process.wait(30)
        eventually(lambda: not any(each.is_running() for each in below), seconds=30)


def test_a_second_server_with_the_same_state_is_refused_and_the_first_goes_on(start, packed):
    with start() as server, server.client() as client:
        port = server.address.rpartition(":")[2]
        run = ("python", "-m", "serving.serve", "--run", server.run)
        refused = packed.run(*run, "--port", "0", code=1)
        assert refused.stderr == (
            f"gradflow: {server.run}: another server keeps its state there; end it, or name a folder with --run\n"
        )
        taken = packed.run(*run[:3], "--run", server.run.with_name("other"), "--port", port, code=1)
        assert taken.stderr.startswith(f"gradflow: port {port} cannot be used (Address already in use), name another: ")
        assert answers(client)


def test_without_a_bundle_one_line_says_how_to_make_it(fresh, tmp_path):
    refused = fresh.run("python", "-m", "serving.serve", "--run", tmp_path / "state", code=1)
    assert refused.stderr == (
        f"gradflow: {fresh.root}/serving/bundle: there is no bundle; run `dvc repro` in serving/, which makes it\n"
    )


@pytest.mark.parametrize(
    ("options", "env", "says"),
    [
        (["--leg", "litserv"], {}, "gradflow: --leg: must be one of "),
        ([], {"GRADFLOW_TOKEN": "short"}, "gradflow: environment: GRADFLOW_TOKEN: must be at least 16 letters"),
        ([], {"GRADFLOW_TOKEN": "with spaces in it, hence no token"}, "gradflow: environment: GRADFLOW_TOKEN: must be"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(packed, tmp_path, options, env, says):
    refused = packed.run("python", "-m", "serving.serve", "--run", tmp_path / "state", *options, code=2, **env)
    assert refused.stderr.startswith(says) and refused.stderr.count("\n") == 1
    assert "short" not in refused.stderr and "hence" not in refused.stderr


def test_a_damaged_bundle_is_not_served(packed, tmp_path):
    project = packed.copy(tmp_path / "a project")
    weights = project.root / "serving/bundle/float32.safetensors"
    content = bytearray(weights.read_bytes())
    weights.unlink()  # a link into DVC's cache, perhaps
    content[-1] ^= 1
    weights.write_bytes(content)

    refused = project.run("python", "-m", "serving.serve", "--run", tmp_path / "state", code=1)
    assert refused.stderr.startswith(f"gradflow: {weights}: is not what its bundle was made with")


def test_the_token_may_come_from_the_environment(start):
    with start(GRADFLOW_TOKEN="sixteen-letters-or-more") as server, server.client() as client:
        assert answers(client)
        assert "$GRADFLOW_TOKEN" in server.process.curl
        assert not (server.run / "token").exists()
