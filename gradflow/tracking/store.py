"""Where results are tracked: what MLFLOW_TRACKING_URI names, else a SQLite database in the main checkout."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import mlflow
import requests
from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.exc import SQLAlchemyError

from gradflow.guards import checkout
from gradflow.guards.errors import InputError, RunError, without_passwords

_SQLITE = "sqlite:///"
_LOCK_SECONDS = 900


class StoreError(RunError):
    """The tracking server or database cannot be used."""


@dataclass(frozen=True)
class Store:
    """A tracking server or database.

    Attributes:
        uri: Its address; that of a server never holds a password.
        root: The checkout that tracks.
        artifacts: Folder for the artifacts of a new experiment; None where a server decides.
        database: The file of a SQLite database.
    """

    uri: str
    root: Path
    artifacts: Path | None = None
    database: Path | None = None

    def __str__(self) -> str:
        """The address without any password."""
        return without_passwords(self.uri).partition("?")[0]

    def page(self, experiment: str, run: str) -> str:
        """Where to look at a run: its page on a server, else the run in the database."""
        return (
            f"{self}/#/experiments/{experiment}/runs/{run}" if self.uri.startswith("http") else f"run {run} in {self}"
        )

    @contextmanager
    def connected(self) -> Iterator[mlflow.MlflowClient]:
        """A client, while no other process of this checkout tracks and nobody else makes the database.

        Raises:
            StoreError: The store cannot be used, now or in the middle; says why in one line.
        """
        try:
            with ExitStack() as stack:
                for lock in self._locks():
                    stack.enter_context(lock)
                self._make_database()
                mlflow.set_tracking_uri(self.uri)
                yield mlflow.MlflowClient()
        except ModuleNotFoundError as error:
            raise StoreError(f"{self}: needs the Python package {error.name}, install it, then `dvc repro`") from None
        except Timeout:
            raise StoreError(f"another process has been tracking here for {_LOCK_SECONDS // 60} minutes") from None
        except (MlflowException, requests.RequestException, SQLAlchemyError, OSError) as error:
            raise StoreError(f"{self}: {self._reason(error)}") from None

    def experiment(self, client: mlflow.MlflowClient, name: str) -> str:
        """Identifier of the experiment of that name, which is made where there is none.

        Raises:
            StoreError: Somebody deleted it, or its artifacts belong to another checkout.
        """
        found = client.get_experiment_by_name(name)
        location = self.artifacts.as_uri() if self.artifacts else None
        if found is None:
            return client.create_experiment(name, artifact_location=location)
        if found.lifecycle_stage != "active":
            raise StoreError(f"{self}: experiment {name} was deleted there, restore it to track in it")
        if self.artifacts and found.artifact_location != location and self.database:
            raise StoreError(
                f"{self.database}: was copied or moved, its artifacts lie in {found.artifact_location}; "
                "delete it and run `python -m pipelines.track_all`"
            )
        return str(found.experiment_id)

    def _make_database(self) -> None:
        """Make a SQLite database aside and move it into place: a kill in the middle leaves no half-made one."""
        if not self.database or self.database.exists():
            return
        assert self.artifacts
        draft = self.database.with_name(f"{self.database.name}.draft")
        draft.unlink(missing_ok=True)
        SqlAlchemyStore(f"{_SQLITE}{draft}", self.artifacts.as_uri()).engine.dispose()  # type: ignore[no-untyped-call]  # MLflow's
        draft.replace(self.database)

    def _locks(self) -> Iterator[FileLock]:
        """One for the checkout, whose unfinished runs count as dead; one for the database, while it is being made."""
        if (self.root / ".dvc").is_dir():
            (self.root / ".dvc" / "tmp").mkdir(exist_ok=True)
            yield FileLock(self.root / ".dvc" / "tmp" / "track.lock", timeout=_LOCK_SECONDS)
        if self.database:
            self.database.parent.mkdir(parents=True, exist_ok=True)
            yield FileLock(f"{self.database}.lock", timeout=_LOCK_SECONDS)

    def _reason(self, error: Exception) -> str:
        """What went wrong, without what a server or a driver may repeat of an address or a password."""
        code = getattr(error, "error_code", "")
        if code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
            return (
                "refuses the user name and password (401); "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, then `dvc repro`"
            )
        if code == "PERMISSION_DENIED":
            return "does not allow this user to track here (403); ask for the permission, then `dvc repro`"
        if isinstance(error, requests.RequestException) or "API request to" in str(error):
            return "does not answer; all results are kept, start the server, then `dvc repro` tracks them"
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return f"{self._clean(first)[:200]}; all results are kept, `dvc repro` tracks them"

    def _clean(self, text: str) -> str:
        password = urlsplit(self.uri).password or ""
        for secret in (os.environ.get("MLFLOW_TRACKING_PASSWORD"), password, unquote(password)):
            text = text.replace(secret, "***") if secret else text
        return without_passwords(text)


def find() -> Store:
    """The store of this checkout, also from within the copy that an experiment runs in.

    A user name and password in the address of a server go to the variables in which MLflow expects
    them, so that no message, tag or subprocess can repeat them.

    Raises:
        InputError: MLFLOW_TRACKING_URI is no address of a server or database.
    """
    root = checkout.root()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{root / 'mlflow.db'}"
    if uri.startswith(_SQLITE):
        database = root / uri.removeprefix(_SQLITE)  # the root of an experiment's copy is lost with it
        if database.is_dir():
            raise InputError("environment: MLFLOW_TRACKING_URI", f"must name a file, {database} is a folder")
        return Store(f"{_SQLITE}{database}", root, artifacts=database.parent / "mlartifacts", database=database)
    try:
        parts = urlsplit(uri)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts = urlsplit("")
    if not (parts.scheme and parts.hostname):
        raise InputError("environment: MLFLOW_TRACKING_URI", "must be the address of a server or database")
    if parts.scheme not in ("http", "https"):
        return Store(uri, root, artifacts=root / "mlartifacts")
    for name, value in (("USERNAME", parts.username), ("PASSWORD", parts.password)):
        if value:
            os.environ[f"MLFLOW_TRACKING_{name}"] = unquote(value)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    uri = urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return Store(uri, root)
