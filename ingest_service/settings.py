"""Every setting, its default and its help; one readable message for every mistake."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from ingest_service.errors import SetupError
from ingest_service.events.record import Limits
from ingest_service.settings_anchor import AnchorSettings
from ingest_service.settings_health import HealthSettings
from ingest_service.settings_mistakes import PREFIX, said, undecodable, unknown_variables
from ingest_service.settings_sinks import DatadogSettings, ForwardSettings, SplunkSettings
from ingest_service.settings_types import Duration, Group


def _servers(value: str) -> str:
    """Take `host:port` and `[::1]:port`, one or more; the port may be left out."""
    server = re.compile(r"(\[[^\s\]]+\]|[^\s:\[\]]+)(:\d{1,5})?")
    servers = [part.strip() for part in value.split(",") if part.strip()]
    if not servers or not all(server.fullmatch(part) for part in servers):
        raise ValueError("write host:port, or several with commas between them")
    return value


class KafkaSettings(Group):
    """How to reach the broker, and which topics are ours."""

    bootstrap_servers: Annotated[str, AfterValidator(_servers)] = Field(
        "localhost:9092",
        description="Brokers to start from, host:port, comma-separated.",
    )
    topic: str = Field(
        "gateway.audit.events", min_length=1, description="The topic of audit events."
    )
    dead_letter_topic: str = Field(
        "gateway.audit.dead_letters",
        min_length=1,
        description="Where records go that a sink refuses for good.",
    )
    group_prefix: str = Field(
        "gateway-audit",
        description="Consumer groups are PREFIX-persister and PREFIX-forwarder.SINK: "
        "change it for a second environment on one cluster.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How connections to the broker are secured."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="With SASL_PLAINTEXT or SASL_SSL."
    )
    sasl_username: str | None = Field(None, description="With a SASL mechanism.")
    sasl_password: SecretStr | None = Field(None, description="With a SASL mechanism.")
    ssl_cafile: Path | None = Field(None, description="CA certificates that vouch for the broker.")
    ssl_certfile: Path | None = Field(None, description="Our certificate, for mutual TLS.")
    ssl_keyfile: Path | None = Field(None, description="Our certificate's key, for mutual TLS.")

    @property
    def persister_group(self) -> str:
        """The consumer group of `ingest-service persist`."""
        return f"{self.group_prefix}-persister"

    def forwarder_group(self, sink: str) -> str:
        """Return the consumer group of `ingest-service forward` for one sink."""
        return f"{self.group_prefix}-forwarder.{sink}"


class DatabaseSettings(Group):
    """How to reach PostgreSQL or TimescaleDB, and how hard to press it."""

    dsn: SecretStr | None = Field(
        None, description="postgresql://user:password@host:port/database (a secret)."
    )
    writers: int = Field(2, ge=1, le=16, description="Connections a worker writes on.")
    linger_ms: int = Field(
        1000,
        ge=0,
        le=60_000,
        description="How long little work may wait for more: each transaction costs a ledger "
        "entry for ever. Much work never waits.",
    )
    capacity_bytes: ByteSize | None = Field(
        None,
        ge=1,
        description="Room for the audit tables (2TiB, or bytes): metrics then say how full it is.",
    )


class HttpSettings(Group):
    """Where /metrics and /health are served."""

    host: str = Field("0.0.0.0", description="The address to listen on.")  # noqa: S104 - scraped from outside
    port: int = Field(9464, ge=0, le=65_535, description="0: any free port, logged.")


class EventSettings(Group):
    """What decides whether a record becomes a row."""

    max_age: Duration = Field(
        timedelta(days=30),
        ge=timedelta(minutes=1),
        le=timedelta(days=3650),
        description="How old an event may be when it reaches Kafka (30d, 12h, ...).",
    )
    garbage_limit: int = Field(
        10_000,
        ge=0,
        description="Stop a partition after this many rejected records in a row, counted from "
        "the ledger. 0: never.",
    )

    @property
    def limits(self) -> Limits:
        """The decoder's limits, as each ledger entry keeps them."""
        return Limits(max_age_seconds=int(self.max_age.total_seconds()))


class LogSettings(Group):
    """How the service speaks."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level; SIGHUP reads it again from the secrets directory."
    )
    format: Literal["json", "console"] | None = Field(
        None, description="Default: console on a terminal, json elsewhere."
    )


class _SecretFiles(NestedSecretsSettingsSource):
    """Reads our own files alone: a keystore beside them is no text, and may not be ours to read."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        """Return what each of our files holds."""
        return {file.name: _text(file) for file in _our_files(path)}


class Settings(BaseSettings):
    """All settings: from the environment (`INGEST_KAFKA__TOPIC`), then the secrets directory.

    A file named like the variable, in /run/secrets or INGEST_SECRETS_DIR, holds a secret.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    splunk: SplunkSettings = Field(default_factory=SplunkSettings)
    datadog: DatadogSettings = Field(default_factory=DatadogSettings)
    forward: ForwardSettings = Field(default_factory=ForwardSettings)
    anchor: AnchorSettings = Field(default_factory=AnchorSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    events: EventSettings = Field(default_factory=EventSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the secrets directory (read at each load)."""
        del settings_cls, dotenv_settings
        secrets = _SecretFiles(
            file_secret_settings,
            secrets_dir=_secrets_dir(),
            secrets_dir_missing="ok",
            secrets_case_sensitive=False,
            secrets_prefix=PREFIX,
            secrets_nested_delimiter="__",
        )
        return init_settings, env_settings, secrets

    def require_dsn(self) -> str:
        """Return the database's address; refuse with what to set when there is none."""
        if self.database.dsn is None or not self.database.dsn.get_secret_value().strip():
            # An empty one would quietly mean localhost.
            raise SetupError(
                "INGEST_DATABASE__DSN is not set. "
                "Example: INGEST_DATABASE__DSN=postgresql://user:password@host:5432/audit"
            )
        return self.database.dsn.get_secret_value()


def load() -> Settings:
    """Read all settings, or raise one `SetupError` that names every mistake by its variable."""
    mistakes = [
        *unknown_variables(os.environ, Settings.model_fields),
        *undecodable(os.environ),
    ]
    try:
        settings = Settings()
    except ValidationError as exc:
        mistakes += [said(error) for error in exc.errors(include_input=False)]
    except SettingsError as exc:
        # A whole group in one variable that is no JSON is named already; what is left is the files.
        mistakes = mistakes or [f"INGEST_SECRETS_DIR: {exc}"]
    else:
        mistakes += [
            *_contradictions(settings.kafka),
            *settings.splunk.contradictions(),
            *settings.datadog.contradictions(),
            *settings.anchor.contradictions(),
        ]
        if not mistakes:
            return settings
    raise SetupError("bad settings:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes))


def secret_files() -> frozenset[str]:
    """Return the variables, in upper case, that the secrets directory holds a file for."""
    return frozenset(file.name.upper() for file in _our_files(_secrets_dir()))


def _secrets_dir() -> Path:
    return Path(os.environ.get("INGEST_SECRETS_DIR", "/run/secrets"))


def _our_files(folder: Path) -> Iterator[Path]:
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.name.upper().startswith(PREFIX) and file.is_file():
            yield file


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise SettingsError(f"{file.name} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        raise SettingsError(f"{file.name} is not UTF-8 text") from None


def _contradictions(kafka: KafkaSettings) -> list[str]:
    found = []
    if kafka.security_protocol.startswith("SASL") and not (
        kafka.sasl_mechanism and kafka.sasl_username and kafka.sasl_password
    ):
        found.append(
            f"INGEST_KAFKA__SECURITY_PROTOCOL={kafka.security_protocol} needs "
            "INGEST_KAFKA__SASL_MECHANISM, __SASL_USERNAME and __SASL_PASSWORD"
        )
    if (kafka.ssl_certfile is None) != (kafka.ssl_keyfile is None):
        found.append("INGEST_KAFKA__SSL_CERTFILE and __SSL_KEYFILE go together")
    found += [
        f"INGEST_KAFKA__{name.upper()}: no such file"
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
        if (path := getattr(kafka, name)) is not None and not path.is_file()
    ]
    return found
