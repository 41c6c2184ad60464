"""What may stand in serving/params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params.sections import Count, Parameters, Section, Seed

Form = Literal["float32", "float16_stored", "float16"]
Difference = Annotated[float, Field(ge=0, le=1)]


class Limits(Section):
    """The largest request."""

    rows: Annotated[int, Field(ge=1, le=100_000)]
    body: Annotated[int, Field(ge=100, le=100_000_000)]
    magnitude: Annotated[float, Field(gt=0, le=1e30)]  # float32 holds what is scaled


class Monitor(Section):
    """How inputs are compared with the training rows."""

    window: Annotated[int, Field(ge=10, le=1_000_000)]
    least: Annotated[int, Field(ge=10)]
    bins: Annotated[int, Field(ge=2, le=100)]
    psi: Annotated[float, Field(gt=0)]


class Agreement(Section):
    """How far the forms may be from the checkpoint."""

    rows: Count
    seed: Seed
    labels: Difference
    float32: Difference
    float16_stored: Difference
    float16: Difference


class Params(Parameters):
    """The params.yaml of serving."""

    variant: Annotated[str, Field(min_length=1, max_length=200)]
    seed: Seed | None
    champion: Annotated[str, Field(pattern=r"^models:/[^/@]+(@[^/@]+|/\d+)$")] | None
    form: Form
    limits: Limits
    monitor: Monitor
    agreement: Agreement

    def check(self) -> None:
        """See :meth:`Parameters.check`."""
        if self.monitor.least > self.monitor.window:
            rule = f"must be <= {self.monitor.window}, the window, got {self.monitor.least}"
            raise InputError("params.yaml: monitor.least", rule)
