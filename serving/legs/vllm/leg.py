"""How the front starts vLLM, and what it sends it."""

import json
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_VENV = _ROOT / ".venv-vllm"
READY = "/health"
START_SECONDS = 300.0  # it imports for half a minute, where others compute too for minutes


def missing() -> str:
    """What must be installed first; nothing: an empty string."""
    return "" if (_VENV / "installed").exists() else "needs .venv-vllm: run `make vllm`"


def command(bundle: Path, port: int, token: str, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """What starts vLLM.

    Args:
        bundle: With the model folder.
        port: Of 127.0.0.1.
        token: Without which every request is refused.
        scratch: An empty folder of this start, for caches.

    Returns:
        The command, and variables of its environment.
    """
    options = {
        "model": bundle / "vllm",
        "host": "127.0.0.1",
        "port": port,
        "served-model-name": "gradflow",
        "middleware": "serving.legs.vllm.plugin.authorisation.Authorisation",
        "io-processor-plugin": "gradflow",
        "runner": "pooling",
        "pooler-config": json.dumps({"task": "token_classify"}),
        "dtype": "float32",
        "max-model-len": 128,
        "max-num-batched-tokens": 128,
        "kv-cache-memory-bytes": 1 << 20,  # nothing is cached; the default is a share of the machine's memory
        "distributed-executor-backend": "uni",
        "uvicorn-log-level": "warning",
    }
    argv = [str(_VENV / "bin" / "python"), "-m", "vllm.entrypoints.openai.api_server"]
    argv += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    argv += ["--enable-prompt-embeds", "--skip-tokenizer-init", "--enforce-eager", "--no-enable-prefix-caching"]
    argv += ["--disable-log-stats"]  # a line every ten seconds
    variables = {
        # The plugin's entry points, gradflow and serving: code of this checkout, and no copy that was installed once.
        "PYTHONPATH": f"{Path(__file__).with_name('plugin')}:{_ROOT}",
        "GRADFLOW_LEG_TOKEN": token,  # the command can be read by all users of the machine
        "VLLM_PLUGINS": "gradflow",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "TMPDIR": str(scratch),  # for its sockets, which it would leave behind
        "VLLM_CACHE_ROOT": str(scratch / "cache"),
        "VLLM_CONFIG_ROOT": str(scratch / "config"),
        "HF_HOME": str(scratch / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return argv, variables


def accepted(token: str, scratch: Path) -> str:
    """The given one."""
    del scratch
    return token


def headers(token: str) -> dict[str, str]:
    """What authorises a request."""
    return {"Authorization": f"Bearer {token}"}


def request(points: list[list[float]]) -> tuple[str, object]:
    """Path and body that ask for the probabilities of points (n, 2)."""
    return "/pooling", {"model": "gradflow", "data": points}


def probabilities(answer: object) -> list[list[float]]:
    """Probabilities (n, 2) in an answer.

    Raises:
        KeyError, TypeError, ValueError: It has none.
    """
    return [[float(one), float(other)] for one, other in answer["data"]]  # type: ignore[index]
