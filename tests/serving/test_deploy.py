"""A new bundle takes over without a request lost, one that answers wrongly does not, and the old one can come back."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from serving import bundle

POINT = {"points": [[0.5, 0.25]]}


@pytest.fixture
def other(packed, tmp_path):
    """A project whose bundle is of the other variant."""
    project = packed.copy(tmp_path / "a project")
    serving = type(project)(project.root / "serving", project.env)
    serving.change({"variant": "plain"})
    serving.run("dvc", "repro")
    return project


def test_a_new_bundle_takes_over_without_a_request_lost_and_the_old_one_can_come_back(start, other, packed):
    with start() as server, server.client() as client:
        seen, ended = [], threading.Event()

        def ask():
            with server.client() as asking:
                while not ended.is_set():
                    seen.append(asking.post("/predict", json=POINT))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        old = server.current()["bundle"]
        deploy = ("python", "-m", "serving.deploy", "--run", server.run)
        try:
            done = other.run(*deploy)
            assert done.stdout.startswith("litserve answers from bundle ")
            assert client.post("/predict", json=POINT).json()["variant"] == "plain"
            packed.run(*deploy, "--to", old[:8])
            assert client.post("/predict", json=POINT).json()["variant"] == "residual"
            assert server.current()["bundle"] == old
        finally:
            ended.set()
            for thread in asking:
                thread.join()

        assert {answer.status_code for answer in seen} == {200}
        answers = {(answer.json()["variant"], answer.json()["fingerprint"]) for answer in seen}
        assert {variant for variant, _ in answers} == {"plain", "residual"}
        by_variant = {variant: set() for variant, _ in answers}
        for answer in seen:
            by_variant[answer.json()["variant"]].add(tuple(answer.json()["probabilities"][0]))
        assert all(len(found) == 1 for found in by_variant.values()), "an answer of one under the name of the other"


def test_a_bundle_that_answers_its_trial_wrongly_does_not_take_over(start, packed, tmp_path):
    project = packed.copy(tmp_path / "a project")
    folder = project.root / "serving/bundle"
    trial = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
    trial["probabilities"][0].reverse()
    (folder / "trial.json").unlink()
    (folder / "trial.json").write_text(json.dumps(trial), encoding="utf-8")
    bundle.seal(folder)
    with start() as server, server.client() as client:
        before = server.current()
        refused = project.run("python", "-m", "serving.deploy", "--run", server.run, code=1)
        assert refused.stderr.endswith(
            "was refused, the model server answers the points of the bundle's trial.json with other probabilities\n"
        )
        assert server.current() == before
        assert client.post("/predict", json=POINT).status_code == 200
        assert client.get("/health").json() == {"status": "ok"}


@pytest.fixture
def another(packed, tmp_path):
    """A bundle of the same network with another limit."""
    folder = shutil.copytree(packed.root / "serving/bundle", tmp_path / "another bundle")
    text = (folder / bundle.DESCRIPTION).read_text(encoding="utf-8")
    (folder / bundle.DESCRIPTION).unlink()  # a link into DVC's cache, perhaps
    (folder / bundle.DESCRIPTION).write_text(text.replace('"rows": 1000', '"rows": 999'), encoding="utf-8")
    bundle.seal(folder)
    return folder


def answered(client):
    return client.post("/predict", json=POINT).status_code == 200


class Started:
    """The next model server below a server, stopped in its start as soon as there is one."""

    def __init__(self, server, eventually):
        def found():
            leashes = {each.pid: each for each in psutil.Process(server.process.pid).children()}
            return [each for pid, each in leashes.items() if pid not in self.before and each.children()]

        self.before = {each.pid for each in psutil.Process(server.process.pid).children()}
        self._wait = lambda: eventually(found, pause=0.01)

    def stop(self):
        (leash,) = self._wait()
        (self.process,) = leash.children()
        self.process.suspend()
        return self


def test_the_old_one_is_started_again_when_it_dies_while_the_new_one_starts(start, packed, another, eventually):
    with start() as server, server.client() as client, ThreadPoolExecutor() as pool:
        old, next_one = server.current(), Started(server, eventually)
        (leash,) = psutil.Process(server.process.pid).children()
        deploying = pool.submit(packed.run, "python", "-m", "serving.deploy", "--bundle", another, "--run", server.run)
        new = next_one.stop()
        try:
            leash.children()[0].kill()
            eventually(lambda: not answered(client))
            eventually(lambda: answered(client) or deploying.done())
            assert not deploying.done()
            assert server.current()["bundle"] == old["bundle"] and server.current()["port"] != old["port"]
            eventually(lambda: client.get("/health").status_code == 200)
        finally:
            new.process.resume()
        assert deploying.result().stdout.startswith("litserve answers from bundle ")
        assert server.current()["bundle"] != old["bundle"] and answered(client)


def test_the_old_one_started_again_too_late_does_not_take_over_from_the_new_one(start, packed, another, eventually):
    with start() as server, server.client() as client:
        next_one = Started(server, eventually)
        (leash,) = psutil.Process(server.process.pid).children()
        leash.children()[0].kill()
        again = next_one.stop()
        try:
            packed.run("python", "-m", "serving.deploy", "--bundle", another, "--run", server.run)
            new = server.current()
        finally:
            again.process.resume()
        eventually(lambda: not again.process.is_running())
        assert server.current() == new and answered(client)
        assert client.get("/health").status_code == 200


def test_without_a_server_there_is_nothing_to_deploy_to(packed, tmp_path):
    refused = packed.run("python", "-m", "serving.deploy", "--run", tmp_path, code=1)
    assert refused.stderr == f"gradflow: {tmp_path}: no server answers with its state there; `make serve` starts one\n"


def test_the_client_answers_the_rows_of_a_file(start, packed, rows, tmp_path, trained):
    table = tmp_path / "rows.csv"
    points = rows["train"][:1200]
    table.write_text("a,b,label\n" + "".join(f"{x!r},{y!r},0\n" for x, y in points.tolist()), encoding="utf-8")
    ask = ("python", "-m", "serving.client")
    with start() as server:
        said = packed.run(*ask, table, "--url", server.address, "--run", server.run).stdout.splitlines()
        table.write_text("a,b\n1,text\n", encoding="utf-8")
        refused = packed.run(*ask, table, "--url", server.address, "--run", server.run, code=2)
    assert said[0] == "a,b,label,probability_0,probability_1" and len(said) == 1201
    assert [float(line.split(",")[4]) for line in said[1:]] == pytest.approx(trained(points)[:, 1].tolist(), abs=1e-5)
    assert refused.stderr == f"gradflow: {table}: b: must hold finite numbers without gaps\n"
    gone = packed.run(*ask, tmp_path / "none.csv", "--run", server.run, code=2)
    assert gone.stderr == f"gradflow: {tmp_path / 'none.csv'}: no such file\n"
