"""The publisher lives in the gateway's process: it brings little, and knows its own."""

import subprocess
import sys

FORBIDDEN = [
    "alembic",
    "asyncpg",
    "click",
    "rich",
    "sqlalchemy",
    "structlog",
    "typer",
    "uvicorn",
    "uvloop",
    "aiohttp",
    "ingest_service.persist",
    "ingest_service.cli",
    "ingest_service.worker",
]

FORK = """
import asyncio, os
from ingest_service.publisher import AuditPublisher, GatewayAuditEvent, PublisherForked
from ingest_service.settings import KafkaSettings

event = GatewayAuditEvent(
    event_type="discovery", decision="allow", reason="", gateway_request_id="r"
)

async def main():
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    async with AuditPublisher(kafka, close_seconds=0) as publisher:
        if os.fork() == 0:
            try:
                publisher.enqueue(event)
            except PublisherForked as exc:
                print(exc, flush=True)
            os._exit(0)
        os.wait()

asyncio.run(main())
"""


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_publisher_brings_no_database_server_or_command_line() -> None:
    """A gateway that imports the publisher loads Kafka and metrics, and nothing of the workers."""
    code = f"import sys, ingest_service.publisher; print(set({FORBIDDEN}) & set(sys.modules))"
    assert python(code).strip() == "set()"


def test_a_forked_child_is_told_to_open_its_own() -> None:
    """A connection cannot be shared over a fork: the child hears so instead of corrupting it."""
    assert "after the fork" in python(FORK)
