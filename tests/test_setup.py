"""make on a machine that cannot run the project, and what make says of itself."""

import sys

OLD = f"""#!/bin/sh
[ "$1" = -c ] || exit 9
exec '{sys.executable}' -c 'import sys; sys.version_info = (3, 9, 1, "final", 0); exec(sys.argv[1])' "$2"
"""


def test_a_python_that_is_too_old_is_named(clone):
    old = clone.root / "old python"
    old.write_text(OLD, encoding="utf-8")
    old.chmod(0o755)
    done = clone.run("make", "setup", "PYTHON=./old python", code=2)
    assert done.stderr.startswith(
        "gradflow: needs Python 3.11 or newer, ./old python is 3.9; name another: make PYTHON="
    )
    assert not (clone.root / ".venv").exists()


def test_a_python_that_is_not_there_is_named(clone):
    done = clone.run("make", "setup", "PYTHON=no-such-python", code=2)
    assert done.stderr.startswith(
        "gradflow: needs Python 3.11 or newer, found no no-such-python; name one: make PYTHON="
    )


def test_the_first_command_of_the_readme_works_where_nothing_has_run(clone):
    """With what is installed already: -o leaves that as it is."""
    clone.run("git", "clean", "-ffdxq", "--exclude=.venv")
    done = clone.run("make", "-o", ".venv/installed", "reproduce")
    assert "gradflow:" not in done.stderr
    assert (clone.root / "reports/figures/gradient_flow.png").exists()


def test_make_lists_its_targets(clone):
    listed = {line.split()[1] for line in clone.run("make").stdout.splitlines()}
    assert listed >= {"setup", "reproduce", "test", "lint", "ui", "schedule"}
