"""What Prometheus can ask for."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from serving.front.answering import Served

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Numbers:
    """Counters of a running server, and gauges of what it serves now."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "gradflow_requests", "Requests by path and code", ["path", "code"], registry=self._registry
        )
        self.seconds = Histogram(
            "gradflow_request_seconds", "Time to an answer of /predict", buckets=_SECONDS, registry=self._registry
        )
        self.rows = Counter("gradflow_rows", "Points that were answered", registry=self._registry)
        self._served = Info("gradflow_served", "Which network answers", registry=self._registry)
        self._up = Gauge("gradflow_backend_up", "Whether a model server answers", registry=self._registry)
        self._window = Gauge("gradflow_window_rows", "Rows that drift is judged by", registry=self._registry)
        self._psi = Gauge(
            "gradflow_drift_psi",
            "Population stability index against the training rows",
            ["feature"],
            registry=self._registry,
        )
        self._threshold = Gauge("gradflow_drift_threshold", "From which drift counts", registry=self._registry)
        self._shares = Gauge(
            "gradflow_predicted_share", "Share of each label in the window", ["label"], registry=self._registry
        )

    def text(self, served: Served | None, *, up: bool) -> bytes:
        """All of it in Prometheus' format."""
        self._up.set(up)
        if served:
            run, window = served.described.run, served.window
            self._served.info(
                {
                    "variant": run.variant,
                    "seed": str(run.seed),
                    "fingerprint": run.fingerprint,
                    "form": served.described.form,
                    "leg": served.state.leg,
                }
            )
            self._window.set(len(window))
            self._threshold.set(served.described.monitor.psi)
            self._psi.clear()
            for name, feature in zip(("x1", "x2"), window.features() or (), strict=False):
                self._psi.labels(name).set(feature.psi)
            self._shares.clear()
            for label, share in enumerate(window.predicted() or ()):
                self._shares.labels(str(label)).set(share)
        return generate_latest(self._registry)
