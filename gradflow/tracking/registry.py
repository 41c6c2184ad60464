"""Registered models: a version for each logged model, and aliases for the best of those that can be compared."""

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from gradflow.tracking.entry import Entry, Variant


def register(client: MlflowClient, variant: Variant, model: str, run: str, entry: Entry) -> None:
    """Make a logged model a version of ``gradflow-<variant>``.

    It keeps as tags what :func:`appoint` compares, because the run of an earlier version may be gone.
    """
    assert variant.best
    name = _name(variant)
    try:  # not asked for first: another checkout may make it in between
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(
        name,
        source=f"models:/{model}",
        run_id=run,
        model_id=model,
        await_creation_for=30,
        tags={
            "data": entry.data_hash,
            "fingerprint": entry.fingerprint,
            "seed": str(variant.best.seed),
            "val_loss": repr(variant.best.val_loss),
        },
    )


def appoint(client: MlflowClient, entry: Entry) -> None:
    """Name the version of each variant that has the lowest validation loss on the data and split of a result.

    Two aliases do: ``champion-<data>``, with the first digits of the tag, stays with these data, and ``champion`` goes
    with the data of the result that was tracked last. MLflow itself resolves ``latest`` to the newest version.
    """
    if not entry.data_hash:
        return
    for variant in entry.variants:
        name = _name(variant)
        same = f"name = '{name}' and tags.data = '{entry.data_hash}'"
        versions = client.search_model_versions(same, order_by=["version_number ASC"])
        if not versions:  # all seeds diverged, or somebody deleted them
            continue
        best = min(versions, key=lambda version: float(version.tags["val_loss"]))
        aliases = client.get_registered_model(name).aliases
        for alias in (f"champion-{entry.data_hash[:8]}", "champion"):
            if aliases.get(alias) != best.version:
                client.set_registered_model_alias(name, alias, best.version)


def _name(variant: Variant) -> str:
    return f"gradflow-{variant.name}"
