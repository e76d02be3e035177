"""What each path answers: a status, a content type and a body, from memory alone.

Nothing here asks anybody, so the pages come at once whatever hangs; probes beside the work ask.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics

from ingest_service.telemetry.health import Health

_KEPT_SECONDS = 0.2


class Answers:
    """The four pages of a worker."""

    def __init__(
        self, registry: CollectorRegistry, health: Health, clock: Callable[[], float]
    ) -> None:
        self._scrapes = _Scrapes(registry)
        self._health = health
        self._clock = clock
        self._pages: dict[str, Callable[[str], tuple[bool, str, bytes]]] = {
            "/metrics": self._metrics,
            "/health": self._alive,
            "/health/ready": self._ready,
            "/health/detailed": self._detailed,
        }

    def to(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """Answer a request; anything but the four pages is not found."""
        page = self._pages.get(path.partition("?")[0])
        if page is None:
            return HTTPStatus.NOT_FOUND, *_as_json({"pages": sorted(self._pages)})
        good, content_type, body = page(accept)
        return HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, content_type, body

    def _metrics(self, accept: str) -> tuple[bool, str, bytes]:
        # Not prometheus_client's choose_encoder: it repeats a part of the request in a header.
        if "application/openmetrics-text" in accept:
            return True, openmetrics.CONTENT_TYPE_LATEST, self._scrapes.openmetrics()
        return True, CONTENT_TYPE_PLAIN_0_0_4, self._scrapes.plain()

    def _alive(self, _: str) -> tuple[bool, str, bytes]:
        now = self._clock()
        stalled = sorted(self._health.liveness.stalled(now))
        return not stalled, *_as_json({"alive": not stalled, "stalled": stalled})

    def _ready(self, _: str) -> tuple[bool, str, bytes]:
        ready = self._health.ready()
        return ready, *_as_json({"ready": ready, "phase": self._health.phase})

    def _detailed(self, _: str) -> tuple[bool, str, bytes]:
        now = self._clock()
        return self._health.alive(now), *_as_json(self._health.detailed(now))


class _Scrapes:
    """Renders the metrics, once at a time, and keeps the page for a moment.

    To render holds the interpreter: sixteen scrapers at once would take it from the event loop.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lock = Lock()
        self._kept: dict[str, tuple[float, bytes]] = {}

    def plain(self) -> bytes:
        """Return the page in Prometheus' own format."""
        return self._kept_or("plain", lambda: generate_latest(self._registry))

    def openmetrics(self) -> bytes:
        """Return the page as OpenMetrics, with exemplars."""
        render: Any = openmetrics.generate_latest  # it has no types
        # For names like ours the same text; any other escaping looks at each character.
        render = partial(render, self._registry, openmetrics.ALLOWUTF8, version="1.0.0")
        return self._kept_or("openmetrics", render)

    def _kept_or(self, name: str, render: Callable[[], bytes]) -> bytes:
        with self._lock:
            at, page = self._kept.get(name, (float("-inf"), b""))
            if time.monotonic() - at > _KEPT_SECONDS:
                page = render()
                self._kept[name] = time.monotonic(), page
            return page


def _as_json(body: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(body, indent=2).encode() + b"\n"
