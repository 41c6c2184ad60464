"""A process of its own in which stages read damaged files: a case a line on standard input, an answer a line back.

A parser that falls over a flipped bit takes this process with it, and not the tests.
"""

import importlib
import json
import os
import resource
import sys
from pathlib import Path

from click.testing import CliRunner


def read(folder, file, module, arguments, outputs, damage):
    """Damage a file, run the stage that reads it, and tell what happened; a damaged file and its traces are undone."""
    os.chdir(folder)
    written = [path for name in outputs for path in sorted(Path().glob(name))]
    kept = {path: path.read_bytes() for path in (Path(file), *written)} if damage else {}
    if damage:
        Path(file).write_bytes(damaged(kept[Path(file)], **damage))
    done = CliRunner().invoke(importlib.import_module(module).main, arguments)
    same = all(path.read_bytes() == kept[path] for path in written if path in kept)
    for path, content in kept.items():
        path.write_bytes(content)
    return {
        "code": done.exit_code,
        "said": done.stderr,
        "crash": None if isinstance(done.exception, SystemExit | None) else repr(done.exception),
        "same": same,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def damaged(content, cut=None, bit=None):
    """The first ``cut`` bytes, or all with one ``bit`` flipped."""
    content = bytearray(content[:cut])
    if bit is not None:
        content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(read(**json.loads(line))), flush=True)
