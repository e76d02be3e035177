"""The only owner of httpx: one request to a sink, compressed, with an end that always comes.

Redirects are not followed: a token goes to nobody but the address that was set.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socket import gaierror
from typing import NamedTuple, Self

import httpx
from isal import igzip

from ingest_service import __version__
from ingest_service.errors import SetupError, SinkUnavailableError
from ingest_service.shapes import HttpAnswer

_CONNECT_SECONDS = 5.0
_TOTAL_SECONDS = 30.0
_KEEP_SECONDS = 30.0
_MOST_CONNECTIONS = 8
_MOST_ANSWER_BYTES = 64 * 1024
_LEVEL = 1  # eleven times faster than zlib-6 at nearly the same ratio
_WORTH_A_THREAD_BYTES = 32 * 1024
_ALWAYS = {
    "User-Agent": f"ingest-service/{__version__}",
    "Accept-Encoding": "identity",  # an answer is small; a compressed one could be a bomb
}


class Tls(NamedTuple):
    """Who vouches for the server: the system's authorities, a file, or, with `verify` off, none."""

    verify: bool = True
    cafile: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the authorities, as they are on disk now. Raises `SetupError`."""
        try:
            context = ssl.create_default_context(cafile=self.cafile)
        except OSError as exc:
            raise SetupError(
                f"the certificates in {self.cafile} cannot be used "
                f"({getattr(exc, 'reason', None) or exc.strerror or type(exc).__name__})"
            ) from exc
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class HttpSender:
    """Sends requests for the length of an `async with` block; several at once are well.

    Each has an answer within `total_seconds`, or raises `SinkUnavailableError`, whose words hold
    neither address nor headers.
    """

    def __init__(self, tls: Tls = Tls(), *, total_seconds: float = _TOTAL_SECONDS) -> None:  # noqa: B008 - immutable
        self._tls = tls
        self._total_seconds = total_seconds
        self._compressing = ThreadPoolExecutor(2, thread_name_prefix="gzip")
        self._client = self._new_client()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._compressing.shutdown(wait=False, cancel_futures=True)
        await self._client.aclose()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, packed: bool = True
    ) -> HttpAnswer:
        """Send `body`, gzipped unless told not to be; return whatever the server says to it."""
        if not packed:
            return await self.ask("POST", url, headers, body)
        small = await self._compressed(body)
        return await self.ask("POST", url, {**headers, "Content-Encoding": "gzip"}, small)

    async def get(self, url: str, headers: Mapping[str, str]) -> HttpAnswer:
        """Ask, and return whatever the server says."""
        return await self.ask("GET", url, headers)

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        """Send a request as it is, and return whatever the server says."""
        began = time.monotonic()
        client = self._client
        try:
            # httpx bounds each read, and so not an answer that comes byte by byte.
            async with asyncio.timeout(self._total_seconds):
                async with client.stream(
                    method, url, headers={**_ALWAYS, **headers}, content=body
                ) as response:
                    answer = await _beginning(response)
        except TimeoutError as exc:
            raise SinkUnavailableError(f"no answer within {self._total_seconds:g} s") from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            await self._look_at_certificates_again(client, exc)
            raise SinkUnavailableError(in_words(exc)) from exc
        return HttpAnswer(
            response.status_code,
            response.headers,
            answer,
            len(body),
            time.monotonic() - began,
        )

    async def _compressed(self, body: bytes) -> bytes:
        if len(body) < _WORTH_A_THREAD_BYTES:
            return _gzip(body)
        return await asyncio.get_running_loop().run_in_executor(self._compressing, _gzip, body)

    async def _look_at_certificates_again(self, client: httpx.AsyncClient, exc: Exception) -> None:
        """After a failure of TLS, read the authorities anew: they may have been rotated."""
        if client is self._client and any(isinstance(each, ssl.SSLError) for each in _causes(exc)):
            with suppress(SetupError):  # in the middle of being replaced: next time
                self._client = self._new_client()
                await client.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._tls.context(),
            follow_redirects=False,
            timeout=httpx.Timeout(self._total_seconds, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=_MOST_CONNECTIONS, keepalive_expiry=_KEEP_SECONDS),
        )


def _gzip(body: bytes) -> bytes:
    return igzip.compress(body, _LEVEL, mtime=0)


async def _beginning(response: httpx.Response) -> bytes:
    """Return the answer's body, or the first part of one that is too long to be an answer."""
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _MOST_ANSWER_BYTES:
            return body[:_MOST_ANSWER_BYTES]
    return body


def _causes(exc: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = exc
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__


def in_words(exc: Exception) -> str:
    """Say why there was no answer, without anything that was sent."""
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"TLS fails ({cause.reason})"
        if isinstance(cause, gaierror):
            return "its name cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused: nothing listens there"
    return f"the connection fails ({type(exc).__name__})"
