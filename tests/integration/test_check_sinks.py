"""`check` against the stand-ins: what each sink allows us, and what is found without an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest_service.preflight.finding import Finding, Verdict
from ingest_service.preflight.sinks import check_sinks, enabled
from ingest_service.settings import Settings
from ingest_service.settings_sinks import DatadogSettings, SplunkSettings
from siem import Siem, stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKEN, KEY = "local-splunk-token", "local-datadog-key"
CANARY = "canary-of-a-token"


@pytest.fixture
async def siem() -> AsyncIterator[Siem]:
    async with stand_in() as siem:
        yield siem


def settings(
    siem: Siem, splunk: dict[str, object] | None, datadog: dict[str, object] | None = None
) -> Settings:
    """Return settings with the sinks on that have some, even an empty set of them."""
    return Settings(
        splunk=SplunkSettings.model_validate(
            {} if splunk is None else {"url": siem.splunk.url, "token": TOKEN} | splunk
        ),
        datadog=DatadogSettings.model_validate(
            {} if datadog is None else {"url": siem.datadog.url, "api_key": KEY} | datadog
        ),
    )


async def look(siem: Siem, settings: Settings, *, send_event: bool = False) -> list[Finding]:
    findings = await check_sinks(settings, send_event=send_event)
    assert CANARY not in repr(findings)
    if not send_event:
        assert siem.splunk.arrived.events == 0
    assert siem.datadog.arrived.events == 0
    return findings


async def test_sinks_as_needed_are_all_right_and_get_nothing(siem: Siem) -> None:
    """Reachable, token accepted, acknowledgement there: a line each, and no event left behind."""
    siem.splunk_settings.ack = True
    chosen = settings(siem, {"ack": True, "index": "audit"}, {})
    findings = await look(siem, chosen)
    assert {finding.verdict for finding in findings} == {Verdict.RIGHT}
    assert [finding.subject for finding in findings] == [
        "Splunk",
        "Splunk token",
        "Splunk index audit",
        "Splunk acknowledgement",
        "Datadog",
        "Datadog key",
    ]
    assert enabled(chosen) == ["splunk", "datadog"]


async def test_sink_that_is_off_has_no_line(siem: Siem) -> None:
    """Whoever has one SIEM is told nothing of the other."""
    chosen = settings(siem, None, {})
    assert {f.subject for f in await look(siem, chosen)} == {"Datadog", "Datadog key"}
    assert await look(siem, settings(siem, None)) == []
    assert enabled(settings(siem, None)) == []


@pytest.mark.parametrize("disabled", [True, False])
async def test_refused_splunk_token_is_wrong(siem: Siem, disabled: bool) -> None:
    """Health answers without a token, so the token is asked for on its own."""
    if disabled:
        siem.splunk_settings.disabled_tokens.add(CANARY)
    reached, token = await look(siem, settings(siem, {"token": CANARY}))
    assert reached.verdict is Verdict.RIGHT
    assert (token.verdict, token.subject) == (Verdict.WRONG, "Splunk token")
    assert ("disabled" in token.said) is disabled
    assert "INGEST_SPLUNK__TOKEN" in token.advice


async def test_acknowledgement_that_the_token_has_not_is_wrong(siem: Siem) -> None:
    """The forwarder would refuse to run: that is known before it starts."""
    [*_, ack] = await look(siem, settings(siem, {"ack": True}))
    assert (ack.subject, ack.verdict) == ("Splunk acknowledgement", Verdict.WRONG)


@pytest.mark.parametrize(
    ("index", "verdict"),
    [("audit", Verdict.RIGHT), ("other", Verdict.WRONG), (None, Verdict.RIGHT)],
)
async def test_index_is_tried_with_an_event_when_asked_to(
    siem: Siem, index: str | None, verdict: Verdict
) -> None:
    """Only an event shows whether the token may write there: one is sent, and only then."""
    siem.splunk_settings.indexes = {"audit"}
    [*_, tried] = await look(siem, settings(siem, {"index": index}), send_event=True)
    assert tried.subject.startswith("Splunk index")
    assert tried.verdict is verdict
    assert siem.splunk.arrived.events == (verdict is Verdict.RIGHT)


async def test_busy_collector_is_a_warning(siem: Siem) -> None:
    """Full queues pass: events wait in Kafka, nothing has to be changed."""
    siem.splunk_settings.health_code = 18
    busy, token = await look(siem, settings(siem, {}))
    assert (busy.verdict, token.verdict) == (Verdict.WARNING, Verdict.RIGHT)


async def test_address_of_something_else_is_wrong(siem: Siem) -> None:
    """A web server that is no collector answers, and is named as what it is."""
    reached, token = await look(siem, settings(siem, {"url": siem.datadog.url}))
    assert (reached.verdict, token.verdict) == (Verdict.WRONG, Verdict.WRONG)
    assert "INGEST_SPLUNK__URL" in reached.advice


async def test_refused_datadog_key_is_wrong(siem: Siem) -> None:
    """A key of another site looks like any bad key, so the advice names both settings."""
    reached, key = await look(siem, settings(siem, None, {"api_key": CANARY}))
    assert (reached.verdict, key.verdict) == (Verdict.RIGHT, Verdict.WRONG)
    assert "INGEST_DATADOG__API_KEY" in key.advice
    assert "INGEST_DATADOG__SITE" in key.advice


async def test_datadog_behind_a_proxy_that_cannot_tell_is_a_warning(siem: Siem) -> None:
    """An intake's proxy without the place that validates keys works all the same."""
    chosen = settings(siem, None, {"url": siem.splunk.url})
    assert [f.verdict for f in await look(siem, chosen)] == [Verdict.RIGHT, Verdict.WARNING]


async def test_sinks_that_are_away_are_a_line_each() -> None:
    """Nothing listens: one line a sink, with the setting to change."""
    gone = {"url": "http://127.0.0.1:1"}
    chosen = Settings(
        splunk=SplunkSettings.model_validate(gone | {"token": TOKEN}),
        datadog=DatadogSettings.model_validate(gone | {"api_key": KEY}),
    )
    splunk, datadog = await check_sinks(chosen, send_event=False)
    assert (splunk.verdict, datadog.verdict) == (Verdict.WRONG, Verdict.WRONG)
    assert "INGEST_SPLUNK__URL" in splunk.advice
    assert "INGEST_DATADOG__SITE" in datadog.advice
    assert "refused" in splunk.said


async def test_sink_without_its_token_says_what_to_set(siem: Siem) -> None:
    """Switched on by its address alone: the missing variable is named."""
    [found] = await look(siem, settings(siem, {"token": None}))
    assert (found.verdict, found.subject) == (Verdict.WRONG, "Splunk")
    assert "INGEST_SPLUNK__TOKEN is not set" in found.said
