"""Runs stages as processes that share their imports: a fork each, with a limit on the size of the files that it writes.

One request a line on standard input, one answer a line on standard output, both JSON.
"""

import json
import os
import resource
import runpy
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

# All that stages import but MLflow, which reads its environment when it is imported.
STAGES = [
    ".".join(path.with_suffix("").parts)
    for path in (*Path("stages").glob("*.py"), *Path("studies").glob("*/*.py"))
    if path.stem != "__init__"
]


def main() -> None:
    """Serve until standard input ends."""
    sys.path.insert(0, str(Path.cwd()))
    for name in STAGES:
        import_module(name)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run ``python -m module arguments`` in a folder; returns its exit code and what it said on standard error.

    ``limit``: RLIMIT_FSIZE in bytes; a write beyond it fails as on a full disk.
    """
    reading, writing = os.pipe()  # no file: that would count
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(writing, 2)
        os._exit(run(**request))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "said": said}


def run(module: str, arguments: list[str], folder: str, env: dict[str, str], limit: int) -> int:
    """Become the process of a stage; returns its exit code."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = [module, *arguments]
    sys.modules.pop(module)  # it is run as __main__
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as the interpreter would
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
