"""As much HTTP/1.1 as a sink needs, and every way of breaking it off that a fault asks for."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_LIMIT = 64 * 1024
JSON, HTML = "application/json; charset=UTF-8", "text/html; charset=UTF-8"
RESET = struct.pack("ii", 1, 0)  # linger of zero seconds: close() sends RST


class Request(NamedTuple):
    """A request as it came; header names are in lower case, the body is as on the wire."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the answer as it goes over the wire."""
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is sent: late, byte by byte, cut short, ended by RST instead of FIN."""

    delay_seconds: float = 0.0
    drip_seconds: float = 0.0
    cut_bytes: int | None = None
    reset: bool = False


AT_ONCE = Manner()


class RequestCutError(Exception):
    """A fault wanted the connection reset in the middle of the request."""


def as_json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer whose body is JSON."""
    return Answer(status, json.dumps(content).encode(), headers=headers or {})


def as_html(status: int) -> Answer:
    """Return the kind of error page that a front end answers before the API sees the request."""
    title = f"{status} {_phrase(status)}"
    page = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body>"
    return Answer(status, f"{page}</html>".encode(), HTML)


class Head(NamedTuple):
    """The request line and the headers."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def body_bytes(self) -> int | None:
        """The length of the body; None when the client does not say."""
        if "transfer-encoding" in self.headers:
            return None
        given = self.headers.get("content-length", "" if self.method == "POST" else "0")
        return int(given) if given.isdecimal() else None


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the next request's head; None when the client is gone, or speaks no HTTP."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text[:-4].split("\r\n")
        method, target, _ = first.split(" ", 2)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return None
    path, _, query = target.partition("?")
    pairs = (line.partition(":") for line in lines)
    return Head(method, path, query, {name.lower(): value.strip() for name, _, value in pairs})


async def read_body(reader: asyncio.StreamReader, head: Head, cut_bytes: int | None) -> Request:
    """Return the whole request; raise RequestCutError after `cut_bytes` of its body."""
    length = head.body_bytes or 0
    if cut_bytes is not None:
        await reader.readexactly(min(cut_bytes, length))
        raise RequestCutError
    return Request(*head, await reader.readexactly(length))


async def send(writer: asyncio.StreamWriter, answer: Answer, manner: Manner) -> bool:
    """Send the answer in its manner; tell whether the connection may go on."""
    await asyncio.sleep(manner.delay_seconds)
    content = answer.to_bytes()
    if manner.cut_bytes is not None:
        content = content[: manner.cut_bytes]
    if manner.drip_seconds:
        for place in range(len(content)):
            writer.write(content[place : place + 1])
            await writer.drain()
            await asyncio.sleep(manner.drip_seconds)
    else:
        writer.write(content)
        await writer.drain()
    if manner.reset:
        reset(writer)
    return manner.cut_bytes is None and not manner.reset


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
