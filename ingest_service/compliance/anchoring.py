"""Signs where streams end, and brings that out of the database's reach: file first, then Kafka.

The database is told last, of what is kept outside by then.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from ingest_service.adapters.anchor_store import AnchorNote, open_anchor_store
from ingest_service.adapters.kafka_announcement import announce
from ingest_service.compliance.anchor_keys import read_private_key
from ingest_service.compliance.anchors import Head, SignedAnchor, event, line, sign
from ingest_service.errors import IngestError, SetupError
from ingest_service.ledger import Stream
from ingest_service.settings import KafkaSettings
from ingest_service.settings_anchor import AnchorSettings

_RETRY_SECONDS = 60.0
_LOOK_SECONDS = 1.0

_log = structlog.get_logger(__name__)


def any_stream(_stream: Stream) -> bool:
    """Take every stream."""
    return True


async def anchor(
    dsn: str,
    kafka: KafkaSettings,
    settings: AnchorSettings,
    takes: Callable[[Stream], bool] = any_stream,
) -> list[SignedAnchor]:
    """Sign the heads of these streams and keep them where the settings say; return what was kept.

    A head that did not move is signed anew: that it did not is worth knowing. Raises
    `IngestError` when one of the places did not take them; the others may have.
    """
    if settings.key_file is None:
        raise SetupError("INGEST_ANCHOR__KEY_FILE is not set: there is nothing to sign with")
    key = read_private_key(settings.key_file)
    async with open_anchor_store(dsn) as store:
        heads = [Head(*each) for each in await store.heads() if takes(each[0])]
        now_ms = time.time_ns() // 1_000_000
        signed = [sign(head, now_ms, key) for head in heads]
        if settings.file is not None:
            append(settings.file, [line(each) for each in signed])
        if settings.topic is not None and signed:
            records = [(_key(each), event(each)) for each in signed]
            await announce(kafka, settings.topic, records)
        await store.note(
            [
                AnchorNote(head.stream.id, *each.anchor[3:], each.key_name, each.signature)
                for head, each in zip(heads, signed, strict=True)
            ]
        )
    return signed


async def anchor_by_the_clock(
    dsn: str, kafka: KafkaSettings, settings: AnchorSettings, owned: Callable[[], Sequence[int]]
) -> None:
    """Sign the heads of the partitions that are owned, again and again.

    What goes wrong is logged, and tried again soon; it stops nothing else.
    """
    while True:
        wait = settings.every.total_seconds()
        if mine := frozenset(owned()):
            try:
                await _anchor_owned(dsn, kafka, settings, mine)
            except IngestError as exc:
                wait = min(wait, _RETRY_SECONDS)
                _log.warning("heads not signed", why=str(exc))
        else:
            wait = _LOOK_SECONDS  # the group has not assigned anything yet, or this one stands by
        await asyncio.sleep(wait)


async def _anchor_owned(
    dsn: str, kafka: KafkaSettings, settings: AnchorSettings, owned: frozenset[int]
) -> None:
    signed = await anchor(
        dsn,
        kafka,
        settings,
        lambda stream: stream.topic == kafka.topic and stream.partition in owned,
    )
    _log.info("heads signed", streams=len(signed))


def append(path: Path, lines: Sequence[bytes]) -> None:
    """Append lines to a file, all of them on the disk, or none. Raises `SetupError`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _append(descriptor, b"".join(lines))
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc


def _append(descriptor: int, text: bytes) -> None:
    before = os.fstat(descriptor).st_size
    if before and os.pread(descriptor, 1, before - 1) != b"\n":
        text = b"\n" + text  # somebody's last line was cut off: ours is not glued to it
    try:
        while text:
            text = text[os.write(descriptor, text) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _key(signed: SignedAnchor) -> bytes:
    return f"anchor-{signed.anchor.topic}-{signed.anchor.partition}".encode()
