"""What the server counts, for Prometheus. No label holds anything that a request brought."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "imgrec_requests", "Requests by route and status.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "imgrec_request_seconds",
            "From the first byte of a request to the first of its response.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._images = Counter(
            "imgrec_images", "Images by outcome: ok, or what was wrong.", ["outcome"], registry=self._registry
        )
        self._batch = Histogram("imgrec_batch_images", "Images run at once.", buckets=_SIZES, registry=self._registry)
        self._batch_seconds = Histogram(
            "imgrec_batch_seconds", "Seconds of one batch.", buckets=_SECONDS, registry=self._registry
        )
        self._reloads = Counter(
            "imgrec_reloads", "Reloads by outcome: ok, failed.", ["outcome"], registry=self._registry
        )
        self._audit_failures = Counter(
            "imgrec_audit_failures", "Requests that could not be recorded.", registry=self._registry
        )

    def watch(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for whenever the metrics are."""
        Gauge(f"imgrec_{name}", help_text, registry=self._registry).set_function(value)

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request. route: a template of ours, never the path that was asked for."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def note_image(self, outcome: str) -> None:
        """Count an image: `ok`, or the code of a refusal."""
        self._images.labels(outcome).inc()

    def note_batch(self, images: int, seconds: float) -> None:
        """Count a batch."""
        self._batch.observe(images)
        self._batch_seconds.observe(seconds)

    def note_reload(self, *, is_ok: bool) -> None:
        """Count a reload."""
        self._reloads.labels("ok" if is_ok else "failed").inc()

    def note_audit_failure(self) -> None:
        """Count a request that could not be recorded."""
        self._audit_failures.inc()

    def text(self) -> bytes:
        """Return all of it in the text format of Prometheus."""
        return generate_latest(self._registry)
