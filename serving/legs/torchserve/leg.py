"""How the front starts TorchServe, and what it sends it."""

import json
import shutil
from pathlib import Path

_VENV = Path(__file__).parents[3] / ".venv-torchserve"
READY = "/predictions/gradflow"  # without a body; /ping says that it is healthy before its worker is there
START_SECONDS = 120.0


def missing() -> str:
    """What must be installed first; nothing: an empty string."""
    if not (_VENV / "installed").exists():
        return "needs .venv-torchserve: run `make torchserve`"
    return "" if shutil.which("java") else "needs Java 11 or newer: install Debian's openjdk-17-jre-headless"


def command(bundle: Path, port: int, token: str, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """What starts TorchServe.

    Java is started itself: the ``torchserve`` command allows one server on a machine, whose process id it keeps in a
    file in the folder for temporary files.

    Args:
        bundle: With the model archive.
        port: Of 127.0.0.1.
        token: Not used, see :func:`accepted`.
        scratch: An empty folder of this start, in which it runs, and where no one else may look: sockets are there.

    Returns:
        The command, and variables of its environment.
    """
    [home] = (_VENV / "lib").glob("python3*/site-packages")
    (scratch / "tmp").mkdir()
    config = scratch / "config.properties"
    config.write_text(
        "".join(f"{key}={value}\n" for key, value in _properties(port, scratch).items()), encoding="utf-8"
    )
    jvm = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    settings = {
        "model_server_home": home,
        "java.io.tmpdir": scratch / "tmp",
        "log4j2.configurationFile": Path(__file__).with_name("log4j2.xml"),
    }
    argv = ["java", *jvm, *(f"-D{key}={value}" for key, value in settings.items())]
    argv += ["-cp", f"{home}/ts/frontend/*", "org.pytorch.serve.ModelServer", "-ncs"]
    argv += ["--python", str(_VENV / "bin" / "python"), "-f", str(config), "-s", str(bundle / "torchserve")]
    variables = {
        "TS_CONFIG_FILE": str(config),  # it would win over the command
        "LC_ALL": "C.UTF-8",  # Java would not find folders with letters beyond ASCII
        "PYTHONPATH": "",  # the archive brings its own gradflow
        "OMP_NUM_THREADS": "1",
    }
    return argv, variables


def accepted(token: str, scratch: Path) -> str:
    """The key that TorchServe has made for itself, and writes to a file where it runs."""
    try:
        key: str = json.loads((scratch / "key_file.json").read_text(encoding="utf-8"))["inference"]["key"]
    except (OSError, ValueError):  # not yet
        return token
    return key


def headers(token: str) -> dict[str, str]:
    """What authorises a request."""
    return {"Authorization": f"Bearer {token}"}


def request(points: list[list[float]]) -> tuple[str, object]:
    """Path and body that ask for the probabilities of points (n, 2)."""
    return "/predictions/gradflow", {"points": points}


def probabilities(answer: object) -> list[list[float]]:
    """Probabilities (n, 2) in an answer.

    Raises:
        KeyError, TypeError, ValueError: It has none.
    """
    return [[float(one), float(other)] for one, other in answer["probabilities"]]  # type: ignore[index]


def _properties(port: int, scratch: Path) -> dict[str, object]:
    """TorchServe's configuration: one worker, the network alone, all but the port of predictions out of reach."""
    return {
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"unix:{scratch}/management.sock",
        "metrics_address": f"unix:{scratch}/metrics.sock",
        "grpc_inference_address": "127.0.0.1",
        "grpc_management_address": "127.0.0.1",
        "grpc_inference_port": 0,
        "grpc_management_port": 0,
        "load_models": "gradflow=gradflow.mar",
        "default_workers_per_model": 1,
        "install_py_dep_per_model": "false",
        "disable_token_authorization": "false",
        "token_expiration_min": 60 * 24 * 3650,  # its key would be refused after an hour, without a new one
        "disable_system_metrics": "true",
        "enable_envvars_config": "false",
        "allowed_urls": "none",  # no models but that of the bundle
        "default_response_timeout": 10,  # seconds, then the worker counts as hung and is replaced
    }
