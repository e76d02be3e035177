"""The requests of each sink, as its document wants them, and which sinks the settings turn on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from given_events import event, record
from ingest_service.errors import SetupError
from ingest_service.forward.ports import Filtered
from ingest_service.forward.sinks.datadog import Datadog
from ingest_service.forward.sinks.enabled import NAMES, enabled
from ingest_service.forward.sinks.splunk import Splunk
from ingest_service.settings import load
from made_sinks import datadog, encoded, splunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTRIES = [event(), record(b"line\nends\r\n in it"), event(id=None)]


def test_splunk_request():
    """The token in the header, never in the address; objects one after another."""
    sink = splunk()
    bodies = [encoded(sink, each) for each in ENTRIES]
    request = sink.request(bodies)  # type: ignore[arg-type]
    assert request.url == "https://splunk:8088/services/collector/event"
    assert request.headers == {
        "authorization": "Splunk the-token",
        "content-type": "application/json",
        "x-splunk-request-channel": "00000000-0000-0000-0000-000000000001",
    }
    assert request.body.split(b"\n") == bodies


def test_splunk_asks_for_acks_on_the_same_channel():
    """Ids belong to a channel: on another one all of them would be false."""
    sink = splunk(must_ack=True)
    assert sink.acks is not None
    request = sink.acks.request([0, 7])
    assert request.url == "https://splunk:8088/services/collector/ack"
    assert json.loads(request.body) == {"acks": [0, 7]}
    assert request.headers == sink.request([]).headers


def test_only_splunk_with_acknowledgement_has_acks():
    """Elsewhere the answer to the request is the last word."""
    assert splunk().acks is None
    assert datadog().acks is None


def test_datadog_request():
    """The key in its header; one array."""
    sink = datadog()
    bodies = [encoded(sink, each) for each in ENTRIES]
    request = sink.request(bodies)  # type: ignore[arg-type]
    assert request.url == "https://intake/api/v2/logs"
    assert request.headers == {"dd-api-key": "the-key", "content-type": "application/json"}
    assert json.loads(request.body) == [json.loads(each) for each in bodies]  # type: ignore[arg-type]


def test_limits_are_the_documents():
    """Splunk: 1 MiB a request, 5 MB an event. Datadog: 4.5 of 5 MB, 1000 entries, 1 MB each."""
    assert splunk().limits[1:] == (1_048_576, 5_000_000, 100)
    assert datadog().limits == (1000, 4_500_000, 1_000_000, 100)


# --- by the settings -----------------------------------------------------------------------------


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Return what sets variables, given without their prefix; no others are set."""
    for name in [name for name in os.environ if name.startswith("INGEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INGEST_SECRETS_DIR", str(tmp_path))

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"INGEST_{name}", value)

    return set_all


@pytest.mark.usefixtures("environment")
def test_no_sink_is_on_by_itself():
    """Nothing leaves for anybody until somebody says where to."""
    assert enabled(load(), "worker-1") == {}


def test_sinks_are_on_by_their_settings(environment: Callable[..., None]):
    """The URL turns Splunk on, the key Datadog; each gets what was set for it."""
    environment(
        SPLUNK__URL="https://splunk:8088/services/collector/event/",
        SPLUNK__TOKEN="t",
        SPLUNK__INDEX="audit",
        SPLUNK__ACK="true",
        DATADOG__API_KEY="k",
        DATADOG__SITE="datadoghq.eu",
        DATADOG__TAGS="env:prod",
        FORWARD__LEAVE_OUT="discovery",
        FORWARD__REDACT="client_ip",
    )
    sinks = enabled(load(), "worker-1")
    assert tuple(sinks) == NAMES == ("splunk", "datadog")
    hec, logs = sinks["splunk"], sinks["datadog"]
    assert isinstance(hec, Splunk)
    assert isinstance(logs, Datadog)
    assert hec.request([]).url == "https://splunk:8088/services/collector/event"
    assert hec.request([]).headers["authorization"] == "Splunk t"
    assert UUID(hec.request([]).headers["x-splunk-request-channel"]).version == 4
    assert hec.acks is not None
    assert logs.request([]).url == "https://http-intake.logs.datadoghq.eu/api/v2/logs"
    for sink in (hec, logs):
        body = encoded(sink, event(metadata={"client_ip": "10.0.0.1"}))
        assert isinstance(body, bytes)
        assert b"10.0.0.1" not in body
        assert b"worker-1" in body
        assert encoded(sink, event(event_type="discovery")) == Filtered("discovery")


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"SPLUNK__URL": "https://splunk:8088"}, "INGEST_SPLUNK__TOKEN"),
        ({"SPLUNK__URL": "https://splunk:8088", "SPLUNK__TOKEN": " "}, "INGEST_SPLUNK__TOKEN"),
        ({"DATADOG__API_KEY": ""}, "INGEST_DATADOG__API_KEY"),
    ],
)
def test_sink_without_its_secret_is_said_at_once(
    environment: Callable[..., None], variables: dict[str, str], missing: str
):
    """Whoever turns a sink on learns at the start what is missing."""
    environment(**variables)
    with pytest.raises(SetupError, match=f"{missing} is not set"):
        enabled(load(), "worker-1")


def test_token_is_read_from_its_file(environment: Callable[..., None], tmp_path: Path):
    """A secret that is mounted is used as one from the environment."""
    environment(SPLUNK__URL="https://splunk:8088")
    (tmp_path / "INGEST_SPLUNK__TOKEN").write_text("from-file\n")
    (tmp_path / "INGEST_DATADOG__API_KEY").write_text("key-from-file\n")
    sinks = enabled(load(), "worker-1")
    assert sinks["splunk"].request([]).headers["authorization"] == "Splunk from-file"
    assert sinks["datadog"].request([]).headers["dd-api-key"] == "key-from-file"
