"""What is counted for Prometheus.

With several workers a scrape reaches any one of them, so their numbers lie in small mapped files of a common folder
(`PROMETHEUS_MULTIPROC_DIR`, which `serve` sets), and each worker can answer for all.
"""

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "bitseek_requests",
            "Requests, by their outcome.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "bitseek_request_seconds", "Time to the end of the answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._batch = Histogram(
            "bitseek_batch_queries", "Queries answered by one scan.", buckets=_BATCH, registry=registry
        )
        self._items = Gauge("bitseek_items", "Items of the collection.", registry=registry, multiprocess_mode="max")
        self._generation = Gauge(
            "bitseek_generation", "Number of the update that is served.", registry=registry, multiprocess_mode="min"
        )
        self.batch: Callable[[int], None] = self._batch.observe
        self._known: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request; `route` is a pattern, not what a client can make up."""
        key = (route, method, status)
        if key not in self._known:
            counter = self._requests.labels(route, method, str(status))
            self._known[key] = (counter.inc, self._seconds.labels(route).observe)
        count, observe = self._known[key]
        count()
        observe(seconds)

    def collection(self, items: int, generation: int) -> None:
        """What is served now."""
        self._items.set(items)
        self._generation.set(generation)

    def text(self) -> bytes:
        """All numbers in Prometheus's text format, of all workers."""
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)
