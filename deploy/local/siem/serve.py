"""Run the stand-ins until SIGTERM or Ctrl-C; the first line printed is JSON with their addresses.

Tokens: INGEST_SPLUNK__TOKEN and INGEST_DATADOG__API_KEY when set, else local-splunk-token and
local-datadog-key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # started as a file: the package is above, not beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import uvloop

from siem import DatadogSettings, SplunkSettings, stand_in

if TYPE_CHECKING:
    from siem import Siem

SAVE_SECONDS = 1.0
KEPT_ENTRIES = 1000
SPLUNK_TOKEN = "INGEST_SPLUNK__TOKEN", "local-splunk-token"
DATADOG_KEY = "INGEST_DATADOG__API_KEY", "local-datadog-key"


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splunk-port", type=int, default=8088, help="0: any free one")
    parser.add_argument("--datadog-port", type=int, default=8282, help="0: any free one")
    parser.add_argument("--ack", action="store_true", help="Splunk: indexer acknowledgement")
    parser.add_argument("--count-only", action="store_true", help="take events in unread: fast")
    parser.add_argument("--state", type=Path, help="folder in which counts outlive a restart")
    parser.add_argument("--keep", type=int, default=KEPT_ENTRIES, help="entries kept to be shown")
    parser.add_argument("--certfile", type=Path, help="serve https with this certificate and key")
    uvloop.run(serve(parser.parse_args()))


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with stand_in(
        splunk=SplunkSettings(ack=arguments.ack, tokens={os.environ.get(*SPLUNK_TOKEN)}),
        datadog=DatadogSettings(api_keys={os.environ.get(*DATADOG_KEY)}),
        splunk_port=arguments.splunk_port,
        datadog_port=arguments.datadog_port,
        count_only=arguments.count_only,
        keep=arguments.keep,
        tls=_tls(arguments.certfile),
    ) as siem:
        _load(siem, arguments.state)
        print(json.dumps({"splunk": siem.splunk.url, "datadog": siem.datadog.url}), flush=True)
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), SAVE_SECONDS)
            except TimeoutError:
                _save(siem, arguments.state)
        _save(siem, arguments.state)


def _tls(certfile: Path | None) -> ssl.SSLContext | None:
    if certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile)
    return context


def _load(siem: Siem, folder: Path | None) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for intake in (siem.splunk, siem.datadog):
            intake.arrived.load(folder / f"{intake.api.name}.json")


def _save(siem: Siem, folder: Path | None) -> None:
    if folder is not None:
        for intake in (siem.splunk, siem.datadog):
            intake.arrived.save(folder / f"{intake.api.name}.json")


if __name__ == "__main__":
    main()
