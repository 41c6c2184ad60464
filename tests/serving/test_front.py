"""What clients get: right answers with the token, a short refusal for all else."""

import json
import math
import shlex
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest


@pytest.fixture(scope="module")
def client(server):
    with server.client() as client:
        yield client


def test_answers_are_those_of_the_checkpoint(client, rows, trained, packed):
    points = rows["val"][:127]
    answer = client.post("/predict", json={"points": points.tolist()}).raise_for_status().json()

    right = trained(points)
    assert np.abs(np.array(answer["probabilities"]) - right).max() < 1e-6
    assert answer["labels"] == right.argmax(axis=1).tolist()
    run = json.loads((packed.root / "serving/bundle/bundle.json").read_text(encoding="utf-8"))["run"]
    assert {key: answer[key] for key in ("variant", "seed", "fingerprint")} == {
        key: run[key] for key in ("variant", "seed", "fingerprint")
    }


def test_one_row_is_answered_as_it_is_among_others(client, rows):
    points = rows["val"][:20].tolist()
    together = client.post("/predict", json={"points": points}).json()["probabilities"]
    alone = [client.post("/predict", json={"points": [point]}).json()["probabilities"][0] for point in points]
    assert np.abs(np.array(together) - np.array(alone)).max() < 1e-5


def test_the_line_that_the_server_prints_works(server):
    done = subprocess.run(server.process.curl, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["labels"] in ([0], [1])
    assert shlex.split(server.process.curl)[0] == "curl"


def test_only_this_machine_is_listened_to(server, reachable):
    assert reachable(server.address.rpartition(":")[2]) == {"127.0.0.1"}
    assert reachable(server.current()["port"]) == {"127.0.0.1"}


def test_the_token_is_its_owners_alone(server):
    assert stat.S_IMODE((server.run / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.run.stat().st_mode) == 0o700
    assert server.token not in server.process.curl


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic {}", "{}", "Bearer {}x", "Bearer \xe9"])
def test_who_has_not_the_token_gets_401(server, header):
    headers = {} if header is None else {"Authorization": header.format(server.token).encode("latin-1")}
    answer = httpx.post(f"{server.address}/predict", json={"points": [[0, 0]]}, headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json() == {"error": "send the header Authorization: Bearer TOKEN"}


def test_the_model_server_itself_takes_only_a_token_of_its_own(server):
    state = server.current()
    assert state["token"] != server.token
    body = {"points": [[0, 0]]}
    for headers in ({}, {"X-API-Key": server.token}, {"Authorization": f"Bearer {server.token}"}):
        answer = httpx.post(f"http://127.0.0.1:{state['port']}/predict", json=body, headers=headers, trust_env=False)
        assert answer.status_code in (401, 403)


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("", 400, "must be JSON"),
        ("points", 400, "must be JSON"),
        ('{"points": [[0, 0]]', 400, "must be JSON"),
        ("[" * 100_000, 400, "must be JSON"),
        ("[]", 422, "object"),
        ("{}", 422, "points: field required"),
        ('{"points": []}', 422, "points: "),
        ('{"points": [[]]}', 422, "points.0: "),
        ('{"points": [[1]]}', 422, "points.0: "),
        ('{"points": [[0, 0], [1, 2, 3]]}', 422, "points.1: "),
        ('{"points": [["1", 2]]}', 422, "points.0.0: "),
        ('{"points": [[true, 2]]}', 422, "points.0.0: "),
        ('{"points": [[null, 2]]}', 422, "points.0.0: "),
        ('{"points": "0, 0"}', 422, "points: "),
        ('{"points": [[NaN, 2]]}', 422, "points.0.0: input should be a finite number"),
        ('{"points": [[Infinity, 2]]}', 422, "finite"),
        ('{"points": [[0, -Infinity]]}', 422, "points.0.1: input should be a finite number"),
        ('{"points": [[1e999, 2]]}', 422, "finite"),
        ('{"points": [[1e308, 2]]}', 422, "points.0.0: must be between -1000 and 1000"),
        ('{"points": [[0, 0]], "path": "/etc/passwd"}', 422, "the key points alone"),
        ('{"points": [[0, 0]], "a\\nsecret": 1}', 422, "the key points alone"),
        (json.dumps({"points": [["", ""]] * 100_000}), 422, "points.0.0: "),
        (json.dumps({"points": [[0, 0]] * 1001}), 422, "points: must be at most 1,000 rows, got 1,001"),
        (b"\xff\xfe\x00", 400, "must be JSON"),
    ],
)
def test_what_is_no_request_is_refused_in_one_line(client, body, code, says):
    answer = client.post("/predict", content=body)
    assert answer.status_code == code, answer.text
    [error] = answer.json().values()
    assert says in error
    assert "\n" not in error and "Traceback" not in answer.text and "pydantic" not in answer.text and len(error) < 200


def test_as_many_rows_as_are_allowed_are_answered(client, trained):
    points = np.random.default_rng(0).uniform(-1000, 1000, (1000, 2))
    answer = client.post("/predict", json={"points": points.tolist()}).raise_for_status().json()
    assert np.abs(np.array(answer["probabilities"]) - trained(points)).max() < 1e-6


def test_ten_megabytes_are_refused_with_and_without_a_length(client):
    def unending():
        for _ in range(160):
            yield b" " * 65536

    for content in (b" " * 10_000_000, unending()):
        try:
            answer = client.post("/predict", content=content)
        except httpx.HTTPError:  # the connection may be closed while the rest is still being sent
            answer = client.post("/predict", content=b" " * 1_048_577)
        assert answer.status_code == 413
        assert answer.json() == {"error": "the body must have at most 1,048,576 bytes"}
    assert client.post("/predict", json={"points": [[0, 0]]}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/predict", 405),
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("POST", "/admin", 404),
        ("DELETE", "/monitor", 405),
    ],
)
def test_there_is_nothing_else(client, method, path, code):
    assert client.request(method, path).status_code == code


def test_eight_clients_at_once_lose_nothing_and_mix_up_nothing(server, trained):
    points = np.random.default_rng(1).uniform(-3, 3, (8, 250, 2))
    right = trained(points.reshape(-1, 2)).reshape(8, 250, 2)
    together = threading.Barrier(8)

    def ask(client_number):
        with server.client() as client:
            together.wait()
            return [
                client.post("/predict", json={"points": [point]}).raise_for_status().json()["probabilities"][0]
                for point in points[client_number].tolist()
            ]

    with ThreadPoolExecutor(8) as pool:
        found = np.array(list(pool.map(ask, range(8))))

    assert found.shape == (8, 250, 2)
    assert np.abs(found - right).max() < 1e-5  # one row alone is rounded in another way than all at once
    assert len(np.unique(right[:, :, 0].round(9))) > 1000, "answers that are alike would not show a mix-up"


def test_numbers_for_prometheus(client, server):
    def numbers():
        lines = client.get("/metrics").raise_for_status().text.splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    before = numbers()
    client.post("/predict", json={"points": [[0, 0]] * 3})
    client.post("/predict", content="nothing")
    after = numbers()

    def more(name):
        return after[name] - before.get(name, 0)

    assert more("gradflow_rows_total") == 3
    assert more('gradflow_requests_total{code="200",path="/predict"}') == 1
    assert more('gradflow_requests_total{code="400",path="/predict"}') == 1
    assert more("gradflow_request_seconds_count") == 1
    assert after["gradflow_backend_up"] == 1
    assert math.isclose(sum(after[f'gradflow_predicted_share{{label="{label}"}}'] for label in (0, 1)), 1)
    assert server.token not in client.get("/metrics").text + client.get("/health").text + client.get("/monitor").text
