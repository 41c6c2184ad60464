"""A real TorchServe: needs `make torchserve` and Java."""

import shutil
import signal
import time

import httpx
import numpy as np
import pytest

from serving import bundle as bundles
from serving import forms
from serving.legs.torchserve import archive, leg
from tests.serving.legs import MALFORMED, running

pytestmark = pytest.mark.skipif(bool(leg.missing()), reason=leg.missing())


@pytest.fixture(scope="module")
def served(packed):
    with running("torchserve", packed.root / "serving/bundle") as found:
        yield found


def worker(served):
    [found] = [one for one in served.processes() if "model_service_worker" in " ".join(one.cmdline())]
    return found


@pytest.mark.parametrize("number", [1, 2, 127, 128, 600])
def test_probabilities_are_those_of_the_checkpoint(served, trained, rows, number):
    points = rows["val"][:number]
    np.testing.assert_allclose(served.ask(points), trained(points), rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["float16_stored", "float16"])
def test_it_serves_the_form_that_the_bundle_names(packed, rows, tmp_path, form):
    folder = shutil.copytree(packed.root / "serving/bundle", tmp_path / "bundle")
    description = (folder / bundles.DESCRIPTION).read_text(encoding="utf-8")
    (folder / bundles.DESCRIPTION).write_text(description.replace('"float32"', f'"{form}"'), encoding="utf-8")
    archive.write(folder, folder / "torchserve")
    bundles.seal(folder)
    points = rows["val"][:100]
    with running("torchserve", folder) as found:
        np.testing.assert_allclose(found.ask(points), forms.load(folder).probabilities(points), rtol=0, atol=1e-6)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer"}])
@pytest.mark.parametrize("path", ["/predictions/gradflow", "/ping", "/models", "/v1/models/gradflow:predict"])
def test_nothing_is_answered_without_its_key(served, path, headers):
    with httpx.Client(base_url=served.client.base_url, headers=headers, trust_env=False) as stranger:
        answer = stranger.post(path, json={"points": [[0, 0]]})
    assert (answer.status_code, answer.json()["type"]) == (400, "InvalidKeyException")  # its way to say 401


@pytest.mark.parametrize("points", MALFORMED)
def test_malformed_points_are_an_error_without_a_traceback(served, points):
    path, _ = served.leg.request([])
    answer = served.client.post(path, content=f'{{"points": {points}}}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["message"] == "points: must be pairs of finite numbers"


def test_management_has_no_port_and_all_ports_are_of_this_machine(served):
    assert served.client.get("/models").status_code == 404
    listening = [one for each in served.processes() for one in each.net_connections() if one.status == "LISTEN"]
    assert {one.laddr.ip.removeprefix("::ffff:") for one in listening} == {"127.0.0.1"}
    for one in listening:
        if one.laddr.port != served.backend.port:  # gRPC's
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{one.laddr.port}/models", trust_env=False)


def test_a_killed_worker_is_replaced(served, trained, rows):
    points, before = rows["val"][:3], worker(served)
    before.send_signal(signal.SIGKILL)
    patience = time.monotonic() + 20
    while True:
        answer = served.client.get(served.leg.READY)
        if answer.status_code == 200:
            break
        assert time.monotonic() < patience
        time.sleep(0.1)
    np.testing.assert_allclose(served.ask(points), trained(points), rtol=0, atol=1e-6)
    assert time.monotonic() < patience
    assert worker(served).pid != before.pid


def test_it_answers_behind_the_front(start, packed, trained, rows, tmp_path):
    project = packed.copy(tmp_path / "a project")
    (project.root / ".venv-torchserve").symlink_to(leg._VENV)
    points = rows["val"][:5]
    with start("--leg", "torchserve", project=project) as server, server.client() as client:
        answer = client.post("/predict", json={"points": points.tolist()}).raise_for_status().json()
    np.testing.assert_allclose(answer["probabilities"], trained(points), rtol=0, atol=1e-6)
