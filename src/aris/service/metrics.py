"""Metrics of a server, for Prometheus. No label holds anything that a caller sent."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Lock
from typing import ClassVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from aris.backends import Reply

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_WINDOW_S = 10.0  # over which tokens/s are counted

EngineFacts = Callable[[], dict[str, float]]


class Metrics:
    """A server's counters. Safe for many threads.

    Attributes:
        first_token_s: histogram, from the request's arrival at the engine to its first piece of text.
    """

    def __init__(self, engine: EngineFacts) -> None:
        """Make the metrics of one server.

        Args:
            engine: what the engine says of itself now; see `_EngineCollector` for its names.
        """
        # Else each has a second series, of when it began, that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "aris_http_requests", "Requests by route and status", ("route", "status"), registry=registry
        )
        self._outcomes = Counter(
            "aris_answers", "Answers by how they ended: stop, length, aborted, refused, failed", ("outcome",),
            registry=registry,
        )  # fmt: skip
        self._prompt_tokens = Counter("aris_prompt_tokens", "Tokens of prompts", registry=registry)
        self._completion_tokens = Counter("aris_completion_tokens", "Tokens that were generated", registry=registry)
        self._images = Counter("aris_images", "Images and crops that were read", registry=registry)
        self.first_token_s = Histogram(
            "aris_time_to_first_token_seconds", "From a request to the first text of its answer", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._total_s = Histogram(
            "aris_answer_seconds", "From a request to the end of its answer", buckets=_SECONDS, registry=registry
        )
        rate = Gauge("aris_tokens_per_second", f"Tokens generated, over the last {_WINDOW_S:g} s", registry=registry)
        rate.set_function(self._rate)
        self._recent: deque[tuple[float, int]] = deque()
        self._lock = Lock()
        for outcome in ("stop", "length", "aborted", "refused", "failed"):
            self._outcomes.labels(outcome)
        registry.register(_EngineCollector(engine))

    def answered(self, reply: Reply) -> None:
        """An answer has ended by itself."""
        self._outcomes.labels(reply.finish_reason).inc()
        self._total_s.observe(reply.timings.total_s)
        self._count(reply)

    def aborted(self, reply: Reply) -> None:
        """An answer was cancelled."""
        self._outcomes.labels("aborted").inc()
        self._count(reply)

    def failed(self) -> None:
        """A request met a defect."""
        self._outcomes.labels("failed").inc()

    def responded(self, route: str, status: int) -> None:
        """A request got its status. `route` is the path's template, never the path."""
        self._requests.labels(route, str(status)).inc()
        if status == 429:
            self._outcomes.labels("refused").inc()

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _count(self, reply: Reply) -> None:
        usage = reply.usage
        self._prompt_tokens.inc(usage.prompt_tokens)
        self._completion_tokens.inc(usage.completion_tokens)
        self._images.inc(usage.images)
        with self._lock:
            self._forget_old()  # here too: perhaps nobody ever asks for the rate
            self._recent.append((time.monotonic(), usage.completion_tokens))

    def _rate(self) -> float:
        with self._lock:
            self._forget_old()
            return sum(tokens for _, tokens in self._recent) / _WINDOW_S

    def _forget_old(self) -> None:
        since = time.monotonic() - _WINDOW_S
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()


class _EngineCollector:
    """The engine's own figures, read when they are asked for."""

    GAUGES: ClassVar[dict[str, str]] = {
        "running": "Sequences that are being generated",
        "waiting": "Sequences in the queue",
        "cache_usage_ratio": "Share of the cache's blocks in use, 0 to 1",
        "kept_prompts": "Prefixes of prompts that are kept for others",
        "image_cache_bytes": "Bytes of images' embeddings that are kept",
    }
    COUNTERS: ClassVar[dict[str, str]] = {
        "prefix_cache_hits": "Prompt tokens whose keys and values were in the cache",
        "prefix_cache_queries": "Prompt tokens that were looked up in the cache",
    }

    def __init__(self, facts: EngineFacts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Families for the registry."""
        facts = self._facts()
        for name, text in self.GAUGES.items():
            if name in facts:
                yield GaugeMetricFamily(f"aris_engine_{name}", text, value=facts[name])
        for name, text in self.COUNTERS.items():
            if name in facts:
                yield CounterMetricFamily(f"aris_engine_{name}", text, value=facts[name])
