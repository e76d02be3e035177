"""`ingest-service anchor`: sign how far each partition is, and keep that outside the database."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.cli.output import run
from ingest_service.compliance.anchoring import anchor as sign_heads
from ingest_service.compliance.anchors import SignedAnchor, line
from ingest_service.settings_anchor import AnchorSettings


def anchor(
    *,
    key: Annotated[
        Path | None,
        typer.Option(help="Sign with this private key.  [default: INGEST_ANCHOR__KEY_FILE]"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Append to this file; - prints.  [default: INGEST_ANCHOR__FILE]"),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(help="Publish to this topic.  [default: INGEST_ANCHOR__TOPIC]"),
    ] = None,
) -> None:
    """Sign where each partition's ledger ends, and keep that outside the database.

    An anchor is a line of JSON: topic, partition, epoch, next offset, digest, time, signature.
    With `verify --anchors` it proves that all before it is what was there when it was signed,
    even against whoever owns the database. Keep the lines where that person cannot write.

    Example: ingest-service anchor --key anchor.key --to /mnt/worm/anchors.jsonl
    """
    chosen = settings.load()
    prints = to is not None and str(to) == "-"
    where = _where(chosen.anchor, key, None if prints else to, topic, prints=prints)
    signed = run(sign_heads(chosen.require_dsn(), chosen.kafka, where))
    if prints:
        sys.stdout.buffer.write(b"".join(map(line, signed)))
        sys.stdout.buffer.flush()
    typer.echo(_summary(signed, where), err=prints)


def _where(
    configured: AnchorSettings,
    key: Path | None,
    to: Path | None,
    topic: str | None,
    *,
    prints: bool,
) -> AnchorSettings:
    """Return the settings with what was said in their place; whoever prints keeps no file."""
    where = configured.model_copy(
        update={
            "key_file": key or configured.key_file,
            "file": None if prints else to or configured.file,
            "topic": topic or configured.topic,
        }
    )
    if where.key_file is not None and where.file is None and where.topic is None and not prints:
        raise typer.BadParameter("say where to keep them: --to FILE, --to - or --topic NAME")
    return where


def _summary(signed: list[SignedAnchor], where: AnchorSettings) -> str:
    if not signed:
        return "nothing to sign: no partition has an entry yet"
    places = [
        *([f"appended to {where.file}"] if where.file is not None else []),
        *([f"published to {where.topic}"] if where.topic is not None else []),
    ]
    kept = " and ".join(places) or "printed"
    return f"{len(signed)} heads signed by key {signed[0].key_name}, {kept}"
