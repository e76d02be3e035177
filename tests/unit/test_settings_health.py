"""INGEST_HEALTH__PROBES: what may be asked beside the worker's own dependencies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest_service.errors import SetupError
from ingest_service.settings import load
from ingest_service.settings_health import HealthSettings

GOOD = "redis=tcp://redis:6379, opa=http://opa:8181/health?bundles=true,six=tcp://[::1]:7"


def test_probes_have_a_name_and_an_address() -> None:
    """Commas between them, blanks around them, a query where the page wants one."""
    assert [(each.name, each.url) for each in HealthSettings(probes=GOOD).extra] == [
        ("redis", "tcp://redis:6379"),
        ("opa", "http://opa:8181/health?bundles=true"),
        ("six", "tcp://[::1]:7"),
    ]


def test_none_is_the_default() -> None:
    """Nothing is asked that nobody named."""
    assert HealthSettings().extra == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis", "write name=tcp://host:port"),
        ("redis=", "write name=tcp://host:port"),
        ("redis=redis:6379", "write name=tcp://host:port"),
        ("redis=tcp://redis", "write tcp://host:port and nothing after it"),
        ("redis=tcp://redis:6379/0", "nothing after it"),
        ("redis=tcp://redis:port", "write name=tcp://host:port"),
        ("redis=tcp://redis:0", "write name=tcp://host:port"),
        ("redis=redis://redis:6379", "write name=tcp://host:port"),
        ("opa=http://", "write name=tcp://host:port"),
        ("opa=http://user:s3cret@opa:8181", "without a user, a password"),
        ("opa=http://opa/a b", "blanks"),
        ("Redis=tcp://redis:6379", "a name is lower-case"),
        ("tcp://redis:6379", "a name is lower-case"),
        ("kafka=tcp://kafka:9092", "kafka is asked already"),
        ("a=tcp://a:1,b=tcp://b:1,a=tcp://c:1", "two probes have the name a"),
    ],
)
def test_slip_is_told_with_what_to_write(text: str, said: str) -> None:
    """A probe that could never be well, or whose address is no address, is refused at once."""
    with pytest.raises(ValidationError) as refusal:
        HealthSettings(probes=text)
    [error] = refusal.value.errors(include_input=False)
    assert said in error["msg"]
    assert "s3cret" not in error["msg"]


def test_slip_is_one_line_of_the_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by its variable, beside every other mistake."""
    monkeypatch.setenv("INGEST_HEALTH__PROBES", "redis=6379")
    monkeypatch.setenv("INGEST_HTTP__PORT", "none")
    with pytest.raises(SetupError) as refusal:
        load()
    assert "- INGEST_HEALTH__PROBES: redis: write name=tcp://host:port" in str(refusal.value)
    assert "- INGEST_HTTP__PORT: " in str(refusal.value)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_whatever_is_written_is_taken_or_refused(text: str) -> None:
    """No text of a person's breaks the reading of the settings."""
    try:
        probes = HealthSettings(probes=text).extra
    except ValidationError:
        return
    assert all(each.name and each.address.hostname for each in probes)
