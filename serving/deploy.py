"""deploy: let another bundle or another leg take over in a running server, which loses no request meanwhile.

The server starts the new backend beside the old one, tries it with the points of its bundle, and only then lets it take
over.
"""

import time
from pathlib import Path

import click

from gradflow.guards.errors import InputError, RunError
from serving import current
from serving.current import Current, Refused, Wanted
from serving.legs import finding

_HERE = Path(__file__).parent
_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = 0.2


@click.command()
@click.option("--leg", default=None, help="Which model server computes; default: as before.")
@click.option("--bundle", "source", type=click.Path(path_type=Path), default=_HERE / "bundle", help="What to serve.")
@click.option("--to", "digest", default=None, help="A bundle that was served before, by the start of its name.")
@click.option("--if-running", is_flag=True, help="Where no server runs, say so and leave it at that.")
@click.option("--run", "folder", type=click.Path(path_type=Path), default=_HERE / "run", help="The server's state.")
def main(leg: str | None, source: Path, digest: str | None, folder: Path, *, if_running: bool) -> None:
    """Let the bundle take over."""
    before = current.read(folder / current.CURRENT, Current) if current.has_server(folder) else None
    if before is None and if_running:
        click.echo("no server runs; `make serve` starts one, with the bundle as it is now")
        return
    if before is None:
        raise RunError(f"{folder}: no server answers with its state there; `make serve` starts one")
    bundle = current.keep(folder, source) if digest is None else _kept(folder, digest)
    wanted = Wanted(leg=leg or before.leg, bundle=bundle)
    if (before.leg, before.bundle) == (wanted.leg, wanted.bundle):
        click.echo(f"unchanged: {wanted.leg} answers from bundle {bundle[:12]} already")
        return
    if lacks := finding.named(wanted.leg).missing():
        raise InputError("--leg", f"{wanted.leg}: {lacks}")
    (folder / current.REFUSED).unlink(missing_ok=True)
    current.write(folder / current.WANTED, wanted)
    _wait(folder, wanted)
    click.echo(f"{wanted.leg} answers from bundle {bundle[:12]}; before it was {before.leg} from {before.bundle[:12]}")


def _kept(folder: Path, digest: str) -> str:
    """The whole name of a bundle that was served before."""
    kept = [path.name for path in current.place(folder, "").iterdir() if len(path.name) == len("0" * 64)]
    found = [name for name in kept if name.startswith(digest)]
    if len(found) != 1:
        known = ", ".join(sorted(name[:12] for name in kept))
        raise InputError("--to", f"must be the start of one name of {known}, got {digest[:64]}")
    return found[0]


def _wait(folder: Path, wanted: Wanted) -> None:
    """Until the server has taken it over.

    Raises:
        RunError: It refused it, or is gone.
    """
    patience = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < patience:
        now = current.read(folder / current.CURRENT, Current)
        if now and (now.leg, now.bundle) == (wanted.leg, wanted.bundle):
            return
        if refused := current.read(folder / current.REFUSED, Refused):
            raise RunError(f"{refused.leg} from bundle {refused.bundle[:12]} was refused, {refused.why}")
        if not current.has_server(folder):
            raise RunError(f"{folder}: the server ended meanwhile")
        time.sleep(_PAUSE_SECONDS)
    raise RunError(f"{folder}: the server has not taken it over within {_PATIENCE_SECONDS:g} s")


if __name__ == "__main__":
    main()
