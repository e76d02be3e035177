"""A real Prometheus with the rules of this repository, and what it answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from servers.prometheus import programs
from stack import prometheus
from stack.state import State
from stage.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


EVERY = "700ms"


class Prometheus:
    """A server, asked over its API."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.unanswered: set[str] = set()
        """Expressions that have had no answer yet, asked again while alerts are waited for."""

    async def ask(self, expr: str) -> list[dict[str, Any]]:
        """Return the series that an expression answers with now."""
        return (await asyncio.to_thread(self._get, "query", query=expr))["result"]

    async def alerts(self) -> list[dict[str, Any]]:
        """Return what is pending or fires, with its texts."""
        return (await asyncio.to_thread(self._get, "alerts"))["alerts"]

    async def firing(self) -> set[str]:
        """Return the alerts that fire, by name."""
        found = await self.alerts()
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}

    async def fire(self, *names: str, seconds: float = 60) -> None:
        """Return once each of these alerts has been seen firing."""
        missing = set(names)

        async def none_is_missing() -> bool:
            missing.difference_update(await self.firing())
            self.unanswered -= {expr for expr in self.unanswered if await self.ask(expr)}
            return not missing

        try:
            await until(none_is_missing, seconds=seconds)
        except AssertionError:
            raise AssertionError(f"{missing} do not fire; {await self._explained()}") from None

    async def answer(self, expressions: Iterable[str], seconds: float = 60) -> None:
        """Return once each expression has answered with a series."""
        silent = list(expressions)

        async def none_is_silent() -> bool:
            silent[:] = [expr for expr in silent if not await self.ask(expr)]
            return not silent

        try:
            await until(none_is_silent, seconds=seconds)
        except AssertionError:
            raise AssertionError("no data: " + "\n".join(silent)) from None

    async def _explained(self) -> str:
        current = await self.ask("sark:audit_ingest_current")
        states = {each["labels"]["alertname"]: each["state"] for each in await self.alerts()}
        return f"{states}, ingest current: {[each['value'][1] for each in current]}"

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        try:
            url = f"{self._address}/api/v1/{what}?{urlencode(parameters)}"
            with urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except HTTPError as refusal:
            raise RuntimeError(f"{parameters}: {refusal.read().decode()}") from None


@contextmanager
def scraping(
    folder: Path, targets: Mapping[str, list[str]], rules: Path = prometheus.RULES
) -> Iterator[Prometheus]:
    """Run the newest Prometheus there is, which scrapes and evaluates more than once a second."""
    newest = programs()[-1]
    state = State(folder, folder)
    server = prometheus.start(state, newest, prometheus.Scraping(targets, EVERY, rules))
    try:
        yield Prometheus(server.address)
    finally:
        server.stop()
