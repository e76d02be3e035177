"""The sinks that the settings turn on: the one list of all that there are."""

import time
from collections.abc import Mapping
from uuid import uuid4

from ingest_service.forward.ports import Sink
from ingest_service.forward.secrets import FreshSecret
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.datadog import Datadog, Origin
from ingest_service.forward.sinks.redaction import redactor
from ingest_service.forward.sinks.splunk import Envelope, Splunk
from ingest_service.settings import Settings, load
from ingest_service.settings_sinks import ForwardSettings

NAMES = (Splunk.name, Datadog.name)
"""Every sink that there is, on or off."""


def enabled(settings: Settings, hostname: str) -> Mapping[str, Sink]:
    """Return each sink that is on, by its name; `SetupError` when one lacks its token.

    `hostname` is said of events whose gateway does not say who it is.
    """
    choice = _choice(settings.forward)
    sinks: dict[str, Sink] = {}
    if settings.splunk.url is not None:
        settings.splunk.require_token()
        sinks[Splunk.name] = _splunk(settings, settings.splunk.url, hostname, choice)
    if settings.datadog.api_key is not None:
        settings.datadog.require_api_key()
        sinks[Datadog.name] = _datadog(settings, hostname, choice)
    return sinks


def _splunk_token() -> str:
    return load().splunk.require_token()


def _datadog_key() -> str:
    return load().datadog.require_api_key()


def _choice(settings: ForwardSettings) -> Choice:
    return Choice(redactor(settings.redacted_paths), settings.left_out)


def _splunk(settings: Settings, url: str, hostname: str, choice: Choice) -> Splunk:
    of = settings.splunk
    return Splunk(
        url,
        FreshSecret(_splunk_token, time.monotonic),
        Envelope(hostname, settings.kafka.topic, of.sourcetype, of.index),
        choice,
        channel=str(uuid4()),
        must_ack=of.ack,
    )


def _datadog(settings: Settings, hostname: str, choice: Choice) -> Datadog:
    of = settings.datadog
    return Datadog(
        of.intake,
        FreshSecret(_datadog_key, time.monotonic),
        Origin(hostname, of.service, of.tags),
        choice,
        clock=time.time,
    )
