"""Each enabled sink: is it reachable, does it accept our token, may we do there what we need."""

from collections.abc import AsyncIterator, Callable

from ingest_service.adapters.http import HttpSender, Tls
from ingest_service.errors import SetupError, SinkUnavailableError
from ingest_service.preflight import datadog, splunk
from ingest_service.preflight.finding import Finding, wrong
from ingest_service.preflight.splunk import Asking
from ingest_service.settings import Settings

_SECONDS = 10.0
_REACH = "see that it runs and can be reached from here, or change {}"


def enabled(settings: Settings) -> list[str]:
    """Return the sinks that are on, by name."""
    switches = {
        "splunk": settings.splunk.url is not None,
        "datadog": settings.datadog.api_key is not None,
    }
    return [name for name, is_on in switches.items() if is_on]


async def check_sinks(settings: Settings, *, send_event: bool) -> list[Finding]:
    """Return what the sinks that are on say; never raises for what it finds."""
    findings: list[Finding] = []
    if settings.splunk.url is not None:
        tls = Tls(settings.splunk.verify_tls, settings.splunk.cafile)
        findings += await _asked(
            "Splunk",
            "INGEST_SPLUNK__URL",
            tls,
            lambda sender: splunk.look_at(settings.splunk, sender, send_event=send_event),
        )
    if settings.datadog.api_key is not None:
        findings += await _asked(
            "Datadog",
            "INGEST_DATADOG__SITE or __URL",
            Tls(),
            lambda sender: datadog.look_at(settings.datadog, sender),
        )
    return findings


async def _asked(
    subject: str, setting: str, tls: Tls, look: Callable[[Asking], AsyncIterator[Finding]]
) -> list[Finding]:
    """Ask until there is no answer; what was found before that counts."""
    findings: list[Finding] = []
    try:
        async with HttpSender(tls, total_seconds=_SECONDS) as sender:
            async for finding in look(sender):
                findings.append(finding)  # noqa: PERF401 - what came before a failure counts
    except SetupError as exc:
        findings.append(wrong(subject, str(exc), "set it"))
    except SinkUnavailableError as exc:
        findings.append(wrong(subject, str(exc), _REACH.format(setting)))
    return findings
