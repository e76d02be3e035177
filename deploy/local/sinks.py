"""The stand-ins for Splunk and Datadog that a `make up` forwards to, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from stack.process import Server, reusable, spawn, wait_until_ready
from stack.state import LOOPBACK, accepts

if TYPE_CHECKING:
    from stack.state import State

NAME = "siem"
SERVE = Path(__file__).parent / "siem" / "serve.py"
SPLUNK_PORT, DATADOG_PORT = 8088, 8282
OURS = ("INGEST_SPLUNK__", "INGEST_DATADOG__")
ASK_SECONDS = 2.0


def forget_real_sinks() -> bool:
    """Take real sinks out of the environment; tell whether there were any.

    Sample events must not end up in somebody's SIEM, where they look like events and cost money.
    """
    named = [name for name in os.environ if name.startswith(OURS)]
    for name in named:
        del os.environ[name]
    return bool(named)


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where the stand-ins answer, and what they let in."""

    splunk_url: str
    datadog_url: str
    splunk_token: str
    datadog_key: str

    @classmethod
    def of(cls, state: State) -> Sinks:
        """Return the addresses and tokens of this state folder, made when there are none."""
        running = reusable(state, NAME)
        splunk = state.port("splunk", wish=SPLUNK_PORT, ours=running)
        datadog = state.port("datadog", wish=DATADOG_PORT, ours=running)
        return cls(
            f"http://{LOOPBACK}:{splunk}",
            f"http://{LOOPBACK}:{datadog}",
            state.password("splunk_token"),
            state.password("datadog_key"),
        )

    def settings(self) -> dict[str, str]:
        """Return the environment that makes the forwarder send here."""
        return {
            "INGEST_SPLUNK__URL": self.splunk_url,
            "INGEST_SPLUNK__TOKEN": self.splunk_token,
            "INGEST_DATADOG__URL": self.datadog_url,
            "INGEST_DATADOG__API_KEY": self.datadog_key,
        }

    def start(self, state: State) -> Server:
        """Start both; what arrived in earlier runs stays counted."""
        ports = [url.rpartition(":")[2] for url in (self.splunk_url, self.datadog_url)]
        command = [sys.executable, str(SERVE), "--state", str(state.folder(NAME))]
        command += ["--splunk-port", ports[0], "--datadog-port", ports[1]]
        process = spawn(state, NAME, command, environment=self.settings())
        wait_until_ready(state, NAME, process, lambda: all(accepts(int(port)) for port in ports))
        return Server(NAME, self.splunk_url, process)

    async def arrived(self) -> tuple[int | None, int | None]:
        """Return how many different records each sink has; None for one that does not answer."""
        splunk, datadog = await asyncio.gather(
            asyncio.to_thread(_distinct, self.splunk_url),
            asyncio.to_thread(_distinct, self.datadog_url),
        )
        return splunk, datadog


def _distinct(url: str) -> int | None:
    try:
        with urlopen(f"{url}/_arrived?counts", timeout=ASK_SECONDS) as answer:  # noqa: S310 - ours
            return int(json.load(answer)["distinct"])
    except (URLError, TimeoutError):
        return None
