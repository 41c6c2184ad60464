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
from mlflow import environment_variables
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import NullPool, create_engine, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError

from gradflow.guards import checkout
from gradflow.guards.errors import InputError, RunError, shown, without_passwords

_SQLITE = "sqlite:///"
_LOCK_SECONDS = 900
_PLACE = "environment: MLFLOW_TRACKING_URI"


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
            InputError: The address of a database has a setting that its driver refuses.
            StoreError: The store cannot be used, now or in the middle; says why in one line.
        """
        try:
            with ExitStack() as stack:
                for lock in self._locks():
                    stack.enter_context(lock)
                if self.artifacts:
                    self._open_database(self.artifacts)
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
            try:
                return client.create_experiment(name, artifact_location=location)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                return self.experiment(client, name)  # another checkout has just made it
        if found.lifecycle_stage != "active":
            raise StoreError(f"{self}: experiment {name} was deleted there, restore it to track in it")
        if self.artifacts and found.artifact_location != location and self.database:
            raise StoreError(
                f"{self.database}: was copied or moved, its artifacts lie in {found.artifact_location}; "
                "delete it and run `python -m pipelines.track_all`"
            )
        return str(found.experiment_id)

    def _open_database(self, artifacts: Path) -> None:
        """See whether a database can be reached: MLflow itself would try for minutes.

        A SQLite database is made aside and moved into place: a kill in the middle leaves no half-made one.
        """
        if "%" in mlflow.__file__:  # which MLflow would take for a reference to a setting
            raise StoreError(
                f"MLflow opens no database while it is installed below a folder with % in its name "
                f"({mlflow.__file__}); rename the folder, or set MLFLOW_TRACKING_URI to a server"
            )
        address, draft = make_url(self.uri), None
        if self.database and not self.database.exists():
            draft = self.database.with_name(f"{self.database.name}.draft")
            draft.unlink(missing_ok=True)
            address = address.set(database=str(draft))
        try:
            inspect(create_engine(address, poolclass=NullPool)).get_table_names()
        except (TypeError, ValueError) as error:
            raise InputError(_PLACE, f"has a setting that its driver refuses: {self._clean(str(error))}") from None
        if self.database and draft:
            uri = address.render_as_string(hide_password=False)
            SqlAlchemyStore(uri, artifacts.as_uri()).engine.dispose()  # type: ignore[no-untyped-call]  # MLflow's
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
        InputError: MLFLOW_TRACKING_URI is no address of a server or database, or another variable of MLflow's does not
            go with it.
    """
    _check_types()
    root = checkout.root()
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    registry = os.environ.pop("MLFLOW_REGISTRY_URI", "")
    if registry not in ("", given):
        rule = "must be unset or the same as MLFLOW_TRACKING_URI, models are registered where their runs are"
        raise InputError("environment: MLFLOW_REGISTRY_URI", f"{rule}; got {registry}")
    if not given or given.startswith(_SQLITE):
        return _file(given, root)
    try:
        parts = urlsplit(given)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts = urlsplit("")
    server = parts.scheme in ("http", "https")
    if not (parts.hostname and (server or parts.scheme.partition("+")[0] in DATABASE_ENGINES)):
        raise InputError(_PLACE, "must be the address of a server or database")
    if not server:
        return Store(given, root, artifacts=root / "mlartifacts")
    for name, value in (("USERNAME", parts.username), ("PASSWORD", parts.password)):
        if value:
            os.environ[f"MLFLOW_TRACKING_{name}"] = unquote(value)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    uri = urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return Store(uri, root)


def _file(given: str, root: Path) -> Store:
    """A SQLite database: that of the checkout if no address is given."""
    url = make_url(given or f"{_SQLITE}mlflow.db")
    database = root / (url.database or "")  # the root of an experiment's copy is lost with it
    if database.is_dir() or url.database == ":memory:" or "uri" in url.query:
        raise InputError(_PLACE, f"must name a file, as sqlite:////folder/mlflow.db does, got {given}")
    if "?" in str(database):
        raise InputError(_PLACE, f"must name a file without ? in its path, where settings would begin; got {database}")
    uri = url.set(database=str(database)).render_as_string(hide_password=False)
    return Store(uri, root, artifacts=database.parent / "mlartifacts", database=database)


def _check_types() -> None:
    """MLflow reads a variable when it is first needed, in the middle of what it does."""
    for variable in vars(environment_variables).values():
        if isinstance(variable, type(environment_variables.MLFLOW_TRACKING_URI)):
            try:
                variable.get()  # type: ignore[no-untyped-call]  # MLflow's
            except ValueError:
                rule = f"must be of type {variable.type.__name__}, got {shown(os.environ[variable.name])}"
                raise InputError(f"environment: {variable.name}", rule) from None
