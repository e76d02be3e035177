"""/metrics and /health over HTTP from a thread of its own.

A thread, because the question "is the event loop stuck?" must be answered while it is stuck.
Everything a stranger can make it hold is bounded: connections (the oldest is dropped for a new
one, so nobody can keep a probe out), their life, and by the standard library lines and headers.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from ingest_service.errors import SetupError
from ingest_service.telemetry.answers import Answers
from ingest_service.telemetry.health import Health

MAX_CONNECTIONS = 16
MAX_CONNECTION_SECONDS = 10.0
_POLL_SECONDS = 0.1


class Endpoint:
    """Serves until the `with` block ends; entering returns the port that was taken.

    Raises `SetupError` when the address can not be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = (host, port)
        self._answers = Answers(registry, health, clock)

    def __enter__(self) -> int:
        try:
            self._server = _Server(self._address, self._answers)
        except OSError as exc:
            raise SetupError(
                f"cannot listen on {self._address[0]}:{self._address[1]} "
                f"({exc.strerror or type(exc).__name__}): set INGEST_HTTP__HOST and "
                "INGEST_HTTP__PORT to a free address of this machine; port 0 takes any free port"
            ) from exc
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_POLL_SECONDS,),
            name="http-endpoint",
            daemon=True,
        )
        self._thread.start()
        port: int = self._server.server_address[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], answers: Answers) -> None:
        self.answers = answers
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = family[0][0]
        super().__init__(address, _Request)

    def server_bind(self) -> None:
        """Bind without looking up this machine's name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread; at the bound, the oldest one makes room."""
        with self._lock:
            dying = len(self._open) - MAX_CONNECTIONS
            for oldest in list(self._open)[: max(0, dying + 1)]:
                _cut(oldest)
            if dying < MAX_CONNECTIONS:
                self._open[request] = time.monotonic()
        if dying < MAX_CONNECTIONS:
            super().process_request(request, client_address)
        else:  # as many again are on their way out: threads are bounded too
            super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut connections that have lived too long: a byte a second keeps none open."""
        oldest_allowed = time.monotonic() - MAX_CONNECTION_SECONDS
        with self._lock:
            for connection, since in self._open.items():
                if since < oldest_allowed:
                    _cut(connection)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and make its room free."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening, and cut whoever is still connected."""
        super().server_close()
        with self._lock:
            for connection in self._open:
                _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a bug of ours; a client that goes away is no news, perhaps we cut it off."""
        del request, client_address
        exc = sys.exception()
        if not isinstance(exc, OSError):
            structlog.get_logger(__name__).error("page failed", exc_info=exc)


def _cut(connection: socket.socket) -> None:
    """End a connection that another thread reads: it sees the end of the stream."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has gone already
        pass


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        """Answer with the page."""
        status, content_type, body = self.server.answers.to(
            self.path, self.headers.get("Accept", "")
        )
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the library finds it by this name

    def version_string(self) -> str:
        """Tell strangers nothing about versions."""
        return "ingest-service"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Log no access: probes and scrapes come every few seconds."""
