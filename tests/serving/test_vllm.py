"""A real vLLM: needs `make vllm`. `make test-vllm` runs these."""

import httpx
import numpy as np
import pytest

from serving.legs.vllm import leg
from tests.serving.legs import MALFORMED, running

pytestmark = pytest.mark.skipif(bool(leg.missing()), reason=leg.missing())


@pytest.fixture(scope="module")
def served(packed):
    with running("vllm", packed.root / "serving/bundle") as found:
        yield found


@pytest.mark.parametrize("number", [1, 2, 127, 128, 600])
def test_probabilities_are_those_of_the_checkpoint(served, trained, rows, number):
    points = rows["val"][:number]
    np.testing.assert_allclose(served.ask(points), trained(points), rtol=0, atol=1e-6)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": ""}])
@pytest.mark.parametrize("path", ["/pooling", "/health", "/metrics", "/v1/models", "/invocations", "/"])
def test_nothing_is_answered_without_the_token(served, path, headers):
    with httpx.Client(base_url=served.client.base_url, headers=headers, trust_env=False) as stranger:
        assert stranger.get(path).status_code == 401
        assert stranger.post(path, json={"data": [[0, 0]]}).status_code == 401


@pytest.mark.parametrize("points", MALFORMED)
def test_malformed_points_are_an_error_without_a_traceback(served, points):
    path, _ = served.leg.request([])
    answer = served.client.post(path, content=f'{{"data": {points}}}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text


def test_all_ports_are_of_this_machine(served):
    listening = [one for each in served.processes() for one in each.net_connections() if one.status == "LISTEN"]
    assert {one.laddr.ip for one in listening} == {"127.0.0.1"}


def test_it_answers_behind_the_front(start, packed, trained, rows, tmp_path):
    project = packed.copy(tmp_path / "a project")
    (project.root / ".venv-vllm").symlink_to(leg._VENV)
    points = rows["val"][:5]
    with start("--leg", "vllm", project=project) as server, server.client() as client:
        answer = client.post("/predict", json={"points": points.tolist()}).raise_for_status().json()
    np.testing.assert_allclose(answer["probabilities"], trained(points), rtol=0, atol=1e-6)
