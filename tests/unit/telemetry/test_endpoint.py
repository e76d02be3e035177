from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from ingest_service.errors import SetupError
from ingest_service.telemetry import answers, endpoint
from ingest_service.telemetry.endpoint import Endpoint
from ingest_service.telemetry.health import Health, Status
from ingest_service.telemetry.worker_metrics import WorkerMetrics

from .test_projection import row as event_row

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator


class Worker:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry)
        self.health = Health(stall_seconds=60)
        self.now = 1000.0
        self.port = 0


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    served = Endpoint("127.0.0.1", 0, worker.registry, worker.health, clock=lambda: worker.now)
    with served as worker.port:
        yield worker


def ask(
    port: int, path: str, method: str = "GET", accept: str = "*/*"
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers={"Accept": accept})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_metrics_are_served_in_both_formats(worker: Worker) -> None:
    """Prometheus' text by default, OpenMetrics to who asks for it; both parse."""
    worker.metrics.duplicates(3)
    response, body = ask(worker.port, "/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {s.name: s.value for f in prometheus(body.decode()) for s in f.samples}
    assert found["sark_audit_duplicates_total"] == 3
    asked = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    response, body = ask(worker.port, "/metrics?name=x", accept=asked)
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    found = {s.name: s.value for f in openmetrics(body.decode()) for s in f.samples}
    assert found["sark_audit_duplicates_total"] == 3


def test_latency_has_the_request_as_its_exemplar(worker: Worker) -> None:
    """Whoever sees a slow bucket finds a request that was in it; plain text has no room for it."""
    metadata = {"action": "call", "latency_ms": 80}
    worker.metrics.written([event_row(metadata, gateway_request_id="req-8f2c")], 1.0)
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    _, body = ask(worker.port, "/metrics", accept=accept)
    exemplars = {
        sample.labels["le"]: sample.exemplar
        for family in openmetrics(body.decode())
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert exemplars.keys() == {"0.1"}
    assert exemplars["0.1"].labels == {"request_id": "req-8f2c"}
    assert exemplars["0.1"].value == 0.08
    assert b"req-8f2c" not in ask(worker.port, "/metrics")[1]


@pytest.mark.parametrize("request_id", ["", "a" * 101, "words of somebody", "x\n", "\u00e9"])
def test_request_id_that_is_none_is_no_exemplar(worker: Worker, request_id: str) -> None:
    """It is a caller's text, and OpenMetrics has room for 128 characters."""
    row = event_row({"latency_ms": 80}, gateway_request_id=request_id)
    worker.metrics.written([row], 1.0)
    _, body = ask(worker.port, "/metrics", accept="application/openmetrics-text")
    assert b"request_id" not in body
    assert b'sark_gateway_authz_latency_seconds_bucket{action="none",le="0.1"} 1.0' in body


def test_request_is_not_repeated_in_the_answer(worker: Worker) -> None:
    """A version that a stranger claims comes back in no header."""
    asked = "application/openmetrics-text;version=9.9.9canary"
    response, body = ask(worker.port, "/metrics", accept=asked)
    assert response.status == 200
    assert "canary" not in str(response.headers)
    assert b"canary" not in body


def test_health_fails_only_when_something_stands_still(worker: Worker) -> None:
    """A dependency that is down is no reason to restart; a stuck loop is."""
    worker.health.liveness.beat("poll", worker.now)
    worker.health.report("database", Status.UNHEALTHY, worker.now)
    assert ask(worker.port, "/health")[0].status == 200
    worker.now += 61
    response, body = ask(worker.port, "/health")
    assert response.status == 503
    assert json.loads(body) == {"alive": False, "stalled": ["poll"]}


def test_readiness_follows_the_phase(worker: Worker) -> None:
    """503 before the first group join, 200 while standing by."""
    assert ask(worker.port, "/health/ready")[0].status == 503
    worker.health.joined("persister", any_partition=False)
    assert ask(worker.port, "/health/ready")[0].status == 200


def test_details_are_served(worker: Worker) -> None:
    """A degraded worker answers 200 with what is wrong."""
    worker.health.report("database", Status.UNHEALTHY, worker.now, detail="cannot be reached")
    response, body = ask(worker.port, "/health/detailed")
    assert response.status == 200
    assert json.loads(body)["status"] == "degraded"
    assert json.loads(body)["components"]["database"]["detail"] == "cannot be reached"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/health/../metrics", "/x"])
def test_anything_else_is_not_found(worker: Worker, path: str) -> None:
    """There are four pages and nothing else."""
    assert ask(worker.port, path)[0].status == 404


def test_head_has_no_body(worker: Worker) -> None:
    """A load balancer's HEAD gets the length and no page."""
    response, body = ask(worker.port, "/health", method="HEAD")
    assert response.status == 200
    assert int(response.headers["Content-Length"]) > 0
    assert body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_other_methods_are_refused(worker: Worker, method: str) -> None:
    """Nothing here can be changed over HTTP."""
    assert ask(worker.port, "/metrics", method=method)[0].status == 501


def test_no_version_is_told(worker: Worker) -> None:
    """The server's header says nothing that helps an attacker choose."""
    server = ask(worker.port, "/health")[0].headers["Server"]
    assert "python" not in server.lower()
    assert not any(character.isdigit() for character in server)


async def test_answers_while_the_event_loop_hangs(worker: Worker) -> None:
    """The question whether the loop is stuck is answered while it is stuck."""
    worker.health.liveness.beat("poll", worker.now)
    answers: list[tuple[int, float]] = []

    def probe() -> None:
        started = time.monotonic()
        answers.append((ask(worker.port, "/health")[0].status, time.monotonic() - started))

    asking = threading.Thread(target=probe)
    worker.now += 61
    asking.start()
    asking.join()  # blocks this event loop until the probe has been answered
    [(status, seconds)] = answers
    assert asyncio.get_running_loop().is_running()
    assert status == 503
    assert seconds < 1


def slow_client(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
    return connection


def test_slow_clients_keep_nobody_out(worker: Worker) -> None:
    """With more half-sent requests than connections allowed, a probe is answered at once."""
    with ExitStack() as stack:
        for _ in range(3 * endpoint.MAX_CONNECTIONS):
            stack.enter_context(slow_client(worker.port))
        started = time.monotonic()
        assert ask(worker.port, "/health")[0].status == 200
        assert time.monotonic() - started < 1


def test_connections_and_threads_are_bounded(worker: Worker) -> None:
    """A hundred open connections hold no more threads than the bound allows."""
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(slow_client(worker.port))
        ask(worker.port, "/health")
        assert threading.active_count() - before <= 2 * endpoint.MAX_CONNECTIONS


def test_connection_that_lives_too_long_is_cut(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then does not keep a connection open."""
    monkeypatch.setattr(endpoint, "MAX_CONNECTION_SECONDS", 0.3)
    with slow_client(worker.port) as connection:
        deadline = time.monotonic() + 5
        connection.settimeout(0.05)
        ended = False
        while not ended and time.monotonic() < deadline:
            try:
                connection.sendall(b"x")
                ended = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
    ],
    ids=["TLS", "long line", "many headers", "nothing", "half a line"],
)
def test_junk_harms_nothing(worker: Worker, junk: bytes) -> None:
    """What is no request gets an error or no answer, and the next probe is answered."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=5) as connection:
        try:
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(100)
        except ConnectionError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.0 200")
    assert ask(worker.port, "/health")[0].status == 200


def test_port_in_use_says_what_to_do(worker: Worker) -> None:
    """A taken port is a fault of the set-up, named by its setting."""
    taken = Endpoint("127.0.0.1", worker.port, worker.registry, worker.health)
    with pytest.raises(SetupError, match="INGEST_HTTP__PORT"), taken:
        pass


def test_unknown_host_says_what_to_do(worker: Worker) -> None:
    """An address that is not this machine's is a fault of the set-up."""
    elsewhere = Endpoint("no-such-host.invalid", 0, worker.registry, worker.health)
    with pytest.raises(SetupError, match="INGEST_HTTP__HOST"), elsewhere:
        pass


def test_all_interfaces_include_version_six(worker: Worker) -> None:
    """An IPv6 address can be listened on."""
    with Endpoint("::1", 0, worker.registry, worker.health) as port:
        connection = HTTPConnection("::1", port, timeout=5)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()


def test_nothing_is_left_after_the_block() -> None:
    """The port is free and the threads have ended once the block is left, also with clients."""
    before = threading.active_count()
    with Endpoint("127.0.0.1", 0, CollectorRegistry(), Health()) as port:
        client = slow_client(port)
    client.close()
    with Endpoint("127.0.0.1", port, CollectorRegistry(), Health()) as again:
        assert again == port
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


class Counts:
    """A collector that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def describe(self) -> list:
        return []

    def collect(self) -> list:
        self.asked += 1
        return []


def test_storm_of_scrapes_renders_the_page_a_few_times(worker: Worker) -> None:
    """Scrapers that come at once share a page: to render holds the interpreter."""
    counts = Counts()
    worker.registry.register(counts)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as scrapers:
        pages = list(scrapers.map(lambda _: ask(worker.port, "/metrics")[0].status, range(100)))
    assert pages == [200] * 100
    assert counts.asked <= 1 + (time.monotonic() - began) / answers._KEPT_SECONDS


def test_page_is_kept_for_a_moment_only(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been counted since shows at the next scrape."""
    monkeypatch.setattr(answers, "_KEPT_SECONDS", 0.0)
    for count in (1, 2):
        worker.metrics.duplicates(1)
        assert f"sark_audit_duplicates_total {count}.0" in ask(worker.port, "/metrics")[1].decode()


class BreaksLater:
    """A collector that fails when it is scraped, and not when it is registered."""

    def describe(self) -> list:
        return []

    def collect(self) -> list:
        raise LookupError("canary")


def test_broken_page_is_reported_and_survived(worker: Worker, log: io.StringIO) -> None:
    """A bug in one page is logged by type, without its text, and the other pages go on."""
    worker.registry.register(BreaksLater())
    with pytest.raises(ConnectionError):
        ask(worker.port, "/metrics")
    assert ask(worker.port, "/health")[0].status == 200
    line = json.loads(log.getvalue())
    assert line["error_type"] == "LookupError"
    assert "canary" not in log.getvalue()
