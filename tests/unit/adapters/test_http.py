"""The sender: an answer or an error in time, and no word of what was sent in either."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ingest_service.adapters.http import HttpSender, Tls
from ingest_service.errors import SetupError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SECRET = {"Authorization": "Splunk s3cret"}


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """Serve each connection so, and yield the address."""

    async def until_done(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(until_done, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


async def request_of(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Read one request: its head in lower case, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    size = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
    return head, await reader.readexactly(size)


def answering(answer: bytes, seen: list[tuple[str, bytes]] | None = None) -> Serve:
    """Give each request this answer, and end the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await request_of(reader)
        if seen is not None:
            seen.append(request)
        writer.write(answer)
        await writer.drain()

    return serve


def ok(body: bytes = b"{}", more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("size", [10, 200_000])
async def test_body_arrives_gzipped_whatever_its_size(size: int) -> None:
    """What the server unpacks is what was handed over; its size on the wire is told."""
    seen: list[tuple[str, bytes]] = []
    async with serving(answering(ok(b'{"code":0}'), seen)) as url, HttpSender() as sender:
        answer = await sender.post(url, SECRET, b"x" * size)
    [(head, body)] = seen
    assert gzip.decompress(body) == b"x" * size
    assert "content-encoding: gzip" in head
    assert "authorization: splunk s3cret" in head
    assert (answer.status, answer.body, answer.sent_bytes) == (200, b'{"code":0}', len(body))


async def test_redirect_is_not_followed() -> None:
    """A token goes nowhere but to the address that was set."""
    elsewhere: list[tuple[str, bytes]] = []
    async with serving(answering(ok(), elsewhere)) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(answering(moved)) as url, HttpSender() as sender:
            answer = await sender.post(url, SECRET, b"x")
    assert (answer.status, answer.headers["location"]) == (307, other)
    assert not elsewhere


async def test_answer_without_end_is_cut_off() -> None:
    """An answer that never ends takes 64 KiB of memory, not all there is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 10_000)
            await writer.drain()

    async def until_it_goes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass

    async with serving(until_it_goes) as url, HttpSender() as sender:
        answer = await sender.post(url, SECRET, b"x")
    assert answer.status == 200
    assert len(answer.body) == 64 * 1024


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request_of(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"x")
        await asyncio.wait({asyncio.ensure_future(reader.read(1))}, timeout=0.01)


@pytest.mark.parametrize("serve", [silent, dripping])
async def test_answer_that_does_not_come_ends_in_time(serve: Serve) -> None:
    """A server that says nothing, or a byte at a time, holds nobody for longer than the bound."""
    async with serving(serve) as url, HttpSender(total_seconds=0.2) as sender:
        async with asyncio.timeout(5):
            with pytest.raises(SinkUnavailableError, match=r"no answer within 0\.2 s"):
                await sender.post(url, SECRET, b"x")


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"no HTTP at all\r\n\r\n"],
    ids=["nothing", "cut short", "another protocol"],
)
async def test_answer_that_is_not_whole_is_no_answer(answer: bytes) -> None:
    """A 200 that was cut short is not a 200; the error holds nothing that was sent."""
    async with serving(answering(answer)) as url, HttpSender() as sender:
        with pytest.raises(SinkUnavailableError) as error:
            await sender.post(url, SECRET, b"x")
    assert "s3cret" not in str(error.value)
    assert "127.0.0.1" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/x", "connection refused"),
        ("http://no-such-host.invalid/x", "its name cannot be resolved"),
    ],
)
async def test_unreachable_server_is_said_in_words(url: str, words: str) -> None:
    """Each way in which a server cannot be reached is one error, which says which."""
    async with HttpSender() as sender:
        with pytest.raises(SinkUnavailableError, match=words):
            await sender.post(url, SECRET, b"x")


async def test_plain_server_under_a_tls_address_is_said_in_words() -> None:
    """It is not tried again in plain text."""
    said: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        said.append(await reader.read(4096))

    async with serving(plain) as url, HttpSender() as sender:
        with pytest.raises(SinkUnavailableError, match="TLS fails"):
            await sender.post(url.replace("http:", "https:"), SECRET, b"x")
    assert not any(b"s3cret" in each for each in said)


async def test_header_that_is_none_is_an_error_without_its_value() -> None:
    """A token with a line break is refused here, and is not repeated in the message."""
    async with serving(answering(ok())) as url, HttpSender() as sender:
        with pytest.raises(SinkUnavailableError) as error:
            await sender.post(url, {"Authorization": "Splunk s3cret\nX: y"}, b"x")
    assert "s3cret" not in str(error.value)


def test_file_that_holds_no_certificates_is_a_mistake_in_the_set_up(tmp_path: Path) -> None:
    """It is found out at the start, not with the first request."""
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(SetupError, match=r"ca\.pem cannot be used"):
        HttpSender(Tls(cafile=tmp_path / "ca.pem"))


async def test_question_without_a_body_is_answered() -> None:
    """Health and key checks are GETs with the same bounds."""
    async with serving(answering(ok(b"fine"))) as url, HttpSender() as sender:
        assert (await sender.get(url, SECRET)).body == b"fine"
