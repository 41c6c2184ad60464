"""The flow that follows the registry's champion: what has moved there takes over in the running server, or nothing."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
import yaml
from mlflow import MlflowClient

MODEL, ALIAS = "gradflow-residual", "champion"
DEPLOY = ("python", "-m", "pipelines.deploy")


@pytest.fixture(scope="module")
def tracked(packed, tmp_path_factory):
    """A project whose registry has two versions of the residual network; serving follows the champion."""
    folder = tmp_path_factory.mktemp("registry")
    project = packed.copy(folder / "a project")
    project = replace(project, env=project.env | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"})
    project.run("dvc", "repro")
    project.change({"train.epochs": 12})
    project.run("dvc", "repro")
    params = project.root / "serving/params.yaml"
    document = yaml.safe_load(params.read_text(encoding="utf-8")) | {"champion": f"models:/{MODEL}@{ALIAS}"}
    params.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return project


@pytest.fixture(scope="module")
def registry(tracked):
    return MlflowClient(tracked.env["MLFLOW_TRACKING_URI"])


def answered(client):
    answer = client.post("/predict", json={"points": [[0.5, 0.25]]})
    assert answer.status_code == 200, answer.text
    return answer.json()["fingerprint"]


def test_the_champion_that_has_moved_takes_over_and_one_that_cannot_be_trusted_does_not(tracked, registry, start):
    versions = {int(each.version): each for each in registry.search_model_versions(f"name = '{MODEL}'")}
    assert set(versions) == {1, 2}
    prints = {number: each.tags["fingerprint"] for number, each in versions.items()}
    assert prints[1] != prints[2]
    registry.set_registered_model_alias(MODEL, ALIAS, "1")
    assert "no server runs" in tracked.run(*DEPLOY).stderr

    with start(project=tracked) as server, server.client() as client:
        deploy = (*DEPLOY, "--run", server.run)
        assert answered(client) == prints[1]
        assert "unchanged" in tracked.run(*deploy).stderr

        registry.set_registered_model_alias(MODEL, ALIAS, "2")
        before = server.current()["bundle"]
        (weights,) = (path for path in _artifacts(tracked) if versions[2].run_id in str(path))
        content = weights.read_bytes()
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # one bit of one weight
        refused = tracked.run(*deploy, code=1)
        said = [line for line in refused.stderr.splitlines() if line.startswith("gradflow: ")]
        assert len(said) == 1 and "digest" in said[0] and "Traceback" not in refused.stderr
        assert (answered(client), server.current()["bundle"]) == (prints[1], before)

        weights.write_bytes(content)
        tracked.run(*deploy)
        assert answered(client) == prints[2]
        tracked.run("python", "-m", "serving.deploy", "--run", server.run, "--to", before[:8])
        assert answered(client) == prints[1]


def _artifacts(project):
    root = project.root / "mlartifacts"
    for folder in (root, project.root.parent / "mlartifacts"):
        with suppress(OSError):
            yield from folder.rglob("checkpoints/residual.safetensors")


def test_a_bundle_whose_network_is_not_its_checkpoint_is_never_swapped_in(packed, start, tmp_path):
    """The weights of the served form changed, and all checksums made to fit: the trial alone can tell."""
    import torch

    from gradflow import checkpoints
    from gradflow.kit.building import build
    from gradflow.kit.layers import Kit
    from serving import bundle

    project = packed.copy(tmp_path / "a project")
    folder = project.root / "serving/bundle"
    with start(project=project) as server, server.client() as client:
        right, before = answered(client), server.current()["bundle"]
        path = folder / "float32.safetensors"
        tensors, config = checkpoints.read(path)
        network = build(config, Kit(seeds=1))
        network.load_state_dict(tensors)
        with torch.no_grad():
            network.head.bias[0, 0] += 1
        path.unlink()  # a link into DVC's cache, perhaps
        checkpoints.save(path, network, config)
        (folder / bundle.SUMS).unlink()
        bundle.seal(folder)
        refused = project.run("python", "-m", "serving.deploy", "--bundle", folder, "--run", server.run, code=1)
        assert "trial.json" in refused.stderr
        assert (answered(client), server.current()["bundle"]) == (right, before)


def test_a_name_that_the_registry_does_not_have_is_one_line(tracked, tmp_path):
    params = tracked.root / "serving/params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace(f"@{ALIAS}", "@nobody"), encoding="utf-8")
    try:
        refused = tracked.run("dvc", "--cd", "serving", "repro", code=None)
    finally:
        params.write_text(text, encoding="utf-8")
    assert refused.returncode
    assert "gradflow: params.yaml: champion: must name a registered model" in refused.stderr + refused.stdout
    assert json.loads((tracked.root / "serving/bundle/bundle.json").read_text())["run"]["variant"] == "residual"
