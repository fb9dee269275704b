"""What a server counts, in the text form of Prometheus."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class ServerMetrics:
    """Counters of one server, in a registry of their own.

    requests: answered, by route (its template) and status.
    queue: objects that wait for the model or are being computed.
    batch: sizes of batches.
    stages: seconds of a stage: read, decode, wait, model, write.
    dropped: objects that were not computed, by reason: expired, disconnected, stopped.
    cache: looked up, by result: hit, miss.
    kept: bytes, by what is kept: answers, pictures, examples, features, decoding.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "anykeypoint"}
        self.requests = Counter("requests", "Requests answered.", ["route", "status"], **own)
        self.queue = Gauge("queue_length", "Objects that wait for the model or are being computed.", **own)
        self.batch = Histogram("batch_size", "Objects in a batch.", buckets=(1, 2, 4, 8, 16, 32, 64), **own)
        self.stages = Histogram("stage_seconds", "Seconds of a stage.", ["stage"], buckets=_SECONDS, **own)
        self.dropped = Counter("dropped", "Objects that were not computed.", ["reason"], **own)
        self.cache = Counter("cache_lookups", "Looked up in the cache of answers.", ["result"], **own)
        self.kept = Gauge("kept_bytes", "Bytes in memory.", ["what"], **own)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(name).observe(time.perf_counter() - began)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)
