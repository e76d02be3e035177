"""The settings of the sinks: each mistake named, no secret shown, contradictions said."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ingest_service.errors import SetupError
from ingest_service.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "INGEST_"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INGEST_SECRETS_DIR", str(tmp_path / "none"))


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    return load()


def mistake(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(SetupError) as refusal:
        loaded(monkeypatch, **variables)
    _, line = str(refusal.value).splitlines()
    return line.removeprefix("  - ")


def test_defaults_are_those_of_the_documentation():
    """No sink is on, certificates are checked, nothing is left out."""
    settings = load()
    assert (settings.splunk.url, settings.datadog.api_key) == (None, None)
    assert (settings.splunk.sourcetype, settings.splunk.verify_tls) == ("sark:gateway", True)
    assert settings.splunk.ack is False
    assert settings.datadog.intake == "https://http-intake.logs.datadoghq.com"
    assert settings.datadog.service == "sark-gateway"
    assert (settings.forward.redacted_paths, settings.forward.left_out) == ((), frozenset())
    assert settings.kafka.forwarder_group("splunk") == "gateway-audit-forwarder.splunk"


@pytest.mark.parametrize(
    "url",
    [
        "https://splunk:8088",
        "https://splunk:8088/",
        " https://splunk:8088/services/collector ",
        "https://splunk:8088/services/collector/event",
    ],
)
def test_collectors_address_is_taken_with_its_path(monkeypatch: pytest.MonkeyPatch, url: str):
    """Splunk's own pages show the whole address: it is not made of twice the path."""
    assert loaded(monkeypatch, SPLUNK__URL=url).splunk.url == "https://splunk:8088"


@pytest.mark.parametrize("name", ["SPLUNK__URL", "DATADOG__URL"])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "splunk:8088",
        "ftp://splunk",
        "https://",
        "https://user:s3cret@splunk",
        "https://splunk?token=s3cret",
        "https://splunk#s3cret",
        "https://splunk:port",
        "https://[::1",
    ],
)
def test_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, url: str):
    """A password or a token in an address would be logged: it is refused, and not shown."""
    line = mistake(monkeypatch, **{name: url})
    assert line.startswith(f"INGEST_{name}: write https://host:port")
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"DATADOG__URL": "https://proxy", "DATADOG__SITE": "datadoghq.eu"},
            "INGEST_DATADOG__URL and __SITE contradict each other: set one",
        ),
        ({"SPLUNK__CAFILE": "/none/ca.pem"}, "INGEST_SPLUNK__CAFILE: no such file"),
        (
            {"SPLUNK__CAFILE": __file__, "SPLUNK__VERIFY_TLS": "false"},
            "INGEST_SPLUNK__CAFILE and __VERIFY_TLS=false contradict each other: set one",
        ),
    ],
)
def test_contradictions_are_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
):
    """Two settings of which one would be passed over are a mistake."""
    assert mistake(monkeypatch, **variables) == said


@pytest.mark.parametrize("site", ["https://datadoghq.eu", "datadoghq", "eu.", "a b.com", ""])
def test_site_is_a_domain(monkeypatch: pytest.MonkeyPatch, site: str):
    """An address in place of a site would make an intake that is nowhere."""
    assert mistake(monkeypatch, DATADOG__SITE=site).startswith("INGEST_DATADOG__SITE: ")


def test_address_takes_the_place_of_the_site(monkeypatch: pytest.MonkeyPatch):
    """A proxy, or a stand-in."""
    settings = loaded(monkeypatch, DATADOG__URL="http://localhost:9000/")
    assert settings.datadog.intake == "http://localhost:9000"


@pytest.mark.parametrize("name", ["SPLUNK__INDEX", "SPLUNK__SOURCETYPE", "DATADOG__SERVICE"])
@pytest.mark.parametrize("text", ["", "a\nb"])
def test_names_are_text(monkeypatch: pytest.MonkeyPatch, name: str, text: str):
    """An empty name, or one with a line end, is a slip of a manifest."""
    assert mistake(monkeypatch, **{name: text}).startswith(f"INGEST_{name}: ")


@pytest.mark.parametrize("token", ["tok\nen", "tök", "a\x00b", "", "  "])
def test_token_that_no_header_carries_is_refused_unseen(token: str):
    """The HTTP library would print it in its error."""
    settings = Settings.model_validate({"splunk": {"token": token}, "datadog": {"api_key": token}})
    for require in (settings.splunk.require_token, settings.datadog.require_api_key):
        with pytest.raises(SetupError) as refusal:
            require()
        assert token.strip() == "" or token not in str(refusal.value)


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch):
    """Whoever logs or prints the settings shows no token."""
    settings = loaded(monkeypatch, SPLUNK__TOKEN="s3cret", DATADOG__API_KEY="s3cret")
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    assert settings.splunk.require_token() == settings.datadog.require_api_key() == "s3cret"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("client_ip", [("client_ip",)]),
        ("metadata.client_ip", [("client_ip",)]),
        (" client_ip , params.headers,", [("client_ip",), ("params", "headers")]),
        ("", []),
    ],
)
def test_redacted_paths_are_below_metadata(
    monkeypatch: pytest.MonkeyPatch, text: str, paths: list[tuple[str, ...]]
):
    """With the word metadata or without it."""
    assert list(loaded(monkeypatch, FORWARD__REDACT=text).forward.redacted_paths) == paths


@pytest.mark.parametrize("text", ["metadata.", "a..b", ".a", "a.", "."])
def test_path_with_an_empty_key_is_refused(monkeypatch: pytest.MonkeyPatch, text: str):
    """It would redact nothing, without a word."""
    assert mistake(monkeypatch, FORWARD__REDACT=text) == (
        "INGEST_FORWARD__REDACT: write paths of metadata like client_ip,params.headers"
    )


def test_left_out_kinds(monkeypatch: pytest.MonkeyPatch):
    """Types, and types with a decision."""
    settings = loaded(monkeypatch, FORWARD__LEAVE_OUT="discovery, tool_invoke:allow")
    assert settings.forward.left_out == {"discovery", "tool_invoke:allow"}


@pytest.mark.parametrize("text", [":allow", "discovery:", "discovery:maybe", "a:allow:b"])
def test_kind_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str):
    """A rule that never holds is a slip, and an auditor would look for the events."""
    assert mistake(monkeypatch, FORWARD__LEAVE_OUT=text) == (
        "INGEST_FORWARD__LEAVE_OUT: write event types like discovery,tool_invoke:allow"
    )


def test_telemetry_has_no_decision_to_leave_out(monkeypatch: pytest.MonkeyPatch):
    """It is said how to write what was meant."""
    assert "write telemetry alone" in mistake(monkeypatch, FORWARD__LEAVE_OUT="telemetry:allow")
