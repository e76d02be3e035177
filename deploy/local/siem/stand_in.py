"""Both sinks at once."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .arrived import KEPT_ENTRIES
from .datadog import Datadog, DatadogSettings
from .server import Intake
from .splunk import Splunk, SplunkSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class Siem:
    """Two running sinks; their settings may be changed while they run."""

    splunk: Intake
    datadog: Intake
    splunk_settings: SplunkSettings
    datadog_settings: DatadogSettings


@asynccontextmanager
async def stand_in(
    *,
    splunk: SplunkSettings | None = None,
    datadog: DatadogSettings | None = None,
    splunk_port: int = 0,
    datadog_port: int = 0,
    count_only: bool = False,
    keep: int = KEPT_ENTRIES,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Siem]:
    """Serve both sinks on the loopback address until the block ends; port 0 is any free one."""
    hec, logs = Splunk(splunk), Datadog(datadog)
    siem = Siem(
        Intake(hec, count_only=count_only, keep=keep),
        Intake(logs, count_only=count_only, keep=keep),
        hec.settings,
        logs.settings,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(siem.splunk.serve(splunk_port, tls))
        await stack.enter_async_context(siem.datadog.serve(datadog_port, tls))
        yield siem
