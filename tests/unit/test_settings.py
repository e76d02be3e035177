"""Settings: every mistake in one message, no secret in any, and what production sets by files."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingest_service import settings
from ingest_service.errors import SetupError
from ingest_service.events.record import Limits
from ingest_service.settings import load, secret_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DSN = "postgresql://writer:s3cret@db:5432/audit"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Return what sets variables, given without their prefix; no others are set."""
    import os

    for name in list(os.environ):
        if name.startswith(settings.PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("INGEST_SECRETS_DIR", str(tmp_path / "none"))

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(settings.PREFIX + name, value)

    return set_all


def mistakes() -> list[str]:
    """Return the lines of the message that a bad environment is answered with."""
    with pytest.raises(SetupError) as refusal:
        load()
    headline, *lines = str(refusal.value).splitlines()
    assert headline == "bad settings:"
    return lines


@pytest.mark.usefixtures("environment")
def test_defaults_are_those_of_the_documentation():
    """Without any variable the settings are the documented ones."""
    loaded = load()
    assert loaded.kafka.bootstrap_servers == "localhost:9092"
    assert loaded.kafka.topic == "gateway.audit.events"
    assert loaded.kafka.dead_letter_topic == "gateway.audit.dead_letters"
    assert loaded.kafka.persister_group == "gateway-audit-persister"
    assert loaded.kafka.security_protocol == "PLAINTEXT"
    assert (loaded.database.dsn, loaded.database.writers) == (None, 2)
    assert (loaded.database.linger_ms, loaded.http.port) == (1000, 9464)
    assert loaded.events.limits == Limits(max_age_seconds=30 * 86_400)
    assert loaded.events.garbage_limit == 10_000
    assert (loaded.log.level, loaded.log.format) == ("info", None)


def test_variables_set_nested_settings(environment: Callable[..., None]):
    """Groups and settings are joined by two underscores."""
    environment(
        KAFKA__TOPIC="t", KAFKA__GROUP_PREFIX="staging", DATABASE__DSN=DSN, DATABASE__WRITERS="4"
    )
    loaded = load()
    assert (loaded.kafka.topic, loaded.kafka.persister_group) == ("t", "staging-persister")
    assert (loaded.require_dsn(), loaded.database.writers) == (DSN, 4)


def test_every_mistake_is_named_once_by_its_variable(environment: Callable[..., None]):
    """Whoever mends the settings does it in one go."""
    environment(
        DATABASE__WRITERS="none",
        DATABASE__LINGERMS="5",
        DATABSE__DSN=DSN,
        KAFKA_TOPIC="t",
        EVENTS__MAX_AGE="a month",
        HTTP__PORT="99999",
        KAFKA__SECURITY_PROTOCOL="TLS",
        LOG__LEVEL="loud",
    )
    lines = mistakes()
    named = sorted(line.removeprefix("  - ").partition(":")[0] for line in lines)
    assert named == [
        "INGEST_DATABASE__LINGERMS",
        "INGEST_DATABASE__WRITERS",
        "INGEST_DATABSE__DSN",
        "INGEST_EVENTS__MAX_AGE",
        "INGEST_HTTP__PORT",
        "INGEST_KAFKA_TOPIC",
        "INGEST_KAFKA__SECURITY_PROTOCOL",
        "INGEST_LOG__LEVEL",
    ]
    text = "\n".join(lines)
    assert "did you mean INGEST_DATABASE__...?" in text
    assert "did you mean INGEST_KAFKA__TOPIC?" in text
    assert "write a duration like 30d" in text
    assert "s3cret" not in text


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE__DSN": DSN, "DATABASE__WRITERS": "s3cret"},
        {"DATABASE__DSN": DSN, "DATABASE": '{"dsn": {"a": "s3cret"}}'},
        {"DATABASE": "s3cret"},
        {"DATABASE_DSN": DSN},
        {"KAFKA__SASL_PASSWORD": "s3cret", "KAFKA__SECURITY_PROTOCOL": "SASL_SSL"},
        {"SPLUNK__TOKENS": "s3cret"},
    ],
)
def test_no_mistake_shows_a_value(environment: Callable[..., None], variables: dict[str, str]):
    """A secret that was put into the wrong variable is not printed either."""
    environment(**variables)
    assert "s3cret" not in "\n".join(mistakes())


def test_loaded_secrets_are_masked(environment: Callable[..., None]):
    """Whoever logs or prints the settings shows no secret."""
    environment(DATABASE__DSN=DSN, KAFKA__SASL_PASSWORD="s3cret")
    loaded = load()
    assert "s3cret" not in f"{loaded!r} {loaded} {loaded.model_dump()} {loaded.model_dump_json()}"


@pytest.mark.usefixtures("environment")
def test_missing_database_address_says_what_to_set():
    """A command that needs the database says how its address is written."""
    with pytest.raises(SetupError, match=r"INGEST_DATABASE__DSN is not set.*postgresql://"):
        load().require_dsn()


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
        (" 120 s ", timedelta(minutes=2)),
        ("3600", timedelta(hours=1)),
    ],
)
def test_durations_have_units(environment: Callable[..., None], text: str, duration: timedelta):
    """A duration is written with its unit, or in seconds."""
    environment(EVENTS__MAX_AGE=text)
    assert load().events.max_age == duration
    assert load().events.limits.max_age_seconds == duration.total_seconds()


@pytest.mark.parametrize("text", ["", "-1d", "1.5h", "1y", "30 days", "d", "9999999999s"])
def test_other_durations_are_refused(environment: Callable[..., None], text: str):
    """Nothing is guessed: what is not understood is refused with an example."""
    environment(EVENTS__MAX_AGE=text)
    [line] = mistakes()
    assert line == "  - INGEST_EVENTS__MAX_AGE: write a duration like 30d, 12h, 90m or 45s"


@pytest.mark.parametrize("text", ["59s", "3651d"])
def test_absurd_ages_are_refused(environment: Callable[..., None], text: str):
    """An age that would refuse every event, or take any, is a slip."""
    environment(EVENTS__MAX_AGE=text)
    [line] = mistakes()
    assert line.startswith("  - INGEST_EVENTS__MAX_AGE: ")


def test_sasl_needs_its_three_settings(environment: Callable[..., None]):
    """Half a sign-in is noticed before the broker refuses it."""
    environment(KAFKA__SECURITY_PROTOCOL="SASL_SSL", KAFKA__SASL_USERNAME="u")
    [line] = mistakes()
    assert "__SASL_USERNAME and __SASL_PASSWORD" in line
    environment(KAFKA__SASL_MECHANISM="SCRAM-SHA-512", KAFKA__SASL_PASSWORD="p")
    assert load().kafka.sasl_mechanism == "SCRAM-SHA-512"


def test_certificate_and_key_go_together(environment: Callable[..., None], tmp_path: Path):
    """A certificate without its key, or a file that is not there, is named."""
    (tmp_path / "cert.pem").touch()
    environment(
        KAFKA__SSL_CERTFILE=str(tmp_path / "cert.pem"), KAFKA__SSL_CAFILE=str(tmp_path / "ca.pem")
    )
    lines = mistakes()
    assert lines == [
        "  - INGEST_KAFKA__SSL_CERTFILE and __SSL_KEYFILE go together",
        "  - INGEST_KAFKA__SSL_CAFILE: no such file",
    ]


# --- the secrets directory -----------------------------------------------------------------------


@pytest.fixture
def secrets(environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a secrets directory, as Docker and Kubernetes mount one."""
    monkeypatch.setenv("INGEST_SECRETS_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["INGEST_DATABASE__DSN", "ingest_database__dsn"])
def test_secret_comes_from_its_file(secrets: Path, name: str):
    """A file that is named like the variable holds the secret; a newline at its end is none of it."""
    (secrets / name).write_text(DSN + "\n")
    assert load().require_dsn() == DSN
    assert secret_files() == {"INGEST_DATABASE__DSN"}


def test_rotated_secret_is_read_at_the_next_load(secrets: Path):
    """Nothing keeps the old one."""
    file = secrets / "INGEST_KAFKA__SASL_PASSWORD"
    for password in ("one", "two"):
        file.write_text(password)
        loaded = load().kafka.sasl_password
        assert loaded is not None
        assert loaded.get_secret_value() == password


def test_environment_wins_over_the_file(secrets: Path, environment: Callable[..., None]):
    """What an operator sets by hand is what holds."""
    (secrets / "INGEST_DATABASE__DSN").write_text("postgresql://from/file")
    environment(DATABASE__DSN=DSN)
    assert load().require_dsn() == DSN


def test_groups_may_come_from_both(secrets: Path, environment: Callable[..., None]):
    """A secret from a file does not hide its group's other settings."""
    (secrets / "INGEST_DATABASE__DSN").write_text(DSN)
    environment(DATABASE__WRITERS="7")
    loaded = load()
    assert (loaded.require_dsn(), loaded.database.writers) == (DSN, 7)


def test_other_files_in_the_directory_are_not_read(secrets: Path):
    """A keystore of somebody else's beside our secrets stops nothing."""
    (secrets / "keystore.jks").write_bytes(b"\xfe\xed\xfe\xed")
    (secrets / "INGEST_DATABASE__DSN").write_text(DSN)
    assert load().require_dsn() == DSN


def test_secret_that_is_no_text_is_named(secrets: Path):
    """A binary file by mistake is said by its name, without its content."""
    (secrets / "INGEST_KAFKA__SASL_PASSWORD").write_bytes(b"s3cret\xff")
    assert mistakes() == ["  - INGEST_SECRETS_DIR: INGEST_KAFKA__SASL_PASSWORD is not UTF-8 text"]


def test_directory_that_is_a_file_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: Path
):
    """A mount that went wrong is a mistake with a name."""
    del secrets
    (tmp_path / "file").touch()
    monkeypatch.setenv("INGEST_SECRETS_DIR", str(tmp_path / "file"))
    [line] = mistakes()
    assert line.startswith("  - INGEST_SECRETS_DIR: ")


def test_value_that_is_not_utf8_is_named(environment: Callable[..., None]):
    """Bytes of another encoding in the environment are a mistake, not a crash of the driver."""
    environment(DATABASE__DSN="postgresql://u:s3cret\udcff@h/d", KAFKA__TOPIC="größe")
    assert mistakes() == ["  - INGEST_DATABASE__DSN: not UTF-8"]


@pytest.mark.parametrize("text", ["", ",", "a:b", "a b", "kafka://a:9092", "a:1:2"])
def test_what_is_no_server_is_refused(environment: Callable[..., None], text: str):
    """Aiokafka would end in a traceback, or quietly try another server."""
    environment(KAFKA__BOOTSTRAP_SERVERS=text)
    [line] = mistakes()
    assert line.startswith("  - INGEST_KAFKA__BOOTSTRAP_SERVERS: write host:port")


@pytest.mark.parametrize("text", ["a", "a.b-c:9092", "a:1, b:2,", "127.0.0.1:9092", "[::1]:9092"])
def test_servers_are_taken_as_clients_take_them(environment: Callable[..., None], text: str):
    """Names and addresses, with or without a port."""
    environment(KAFKA__BOOTSTRAP_SERVERS=text)
    assert load().kafka.bootstrap_servers == text


def test_empty_names_are_mistakes(environment: Callable[..., None]):
    """An empty variable in a manifest is no topic."""
    environment(KAFKA__TOPIC="", KAFKA__DEAD_LETTER_TOPIC="")
    assert len(mistakes()) == 2


@pytest.mark.usefixtures("environment")
def test_missing_directory_is_no_mistake():
    """Whoever sets everything in the environment needs no directory."""
    assert secret_files() == frozenset()
    assert load().database.dsn is None
