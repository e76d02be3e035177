"""The settings of the forwarder and of its sinks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from ingest_service.errors import SetupError
from ingest_service.events.v1.bounds import TELEMETRY
from ingest_service.settings_types import Group, HttpUrl, Text, listed

_METADATA: Final = "metadata."
_DECISIONS: Final = ("", "allow", "deny")


def _collector(url: str) -> str:
    """Take the address of the collector, too, since that is what Splunk's own pages show."""
    for ending in ("/event", "/services/collector"):
        url = url.removesuffix(ending)
    return url


def _path(text: str) -> tuple[str, ...]:
    """Return the keys of a path below the event's `metadata`, whether it is said or not."""
    return tuple(text.removeprefix(_METADATA).split("."))


def _paths(text: str) -> str:
    if not all(all(_path(part)) for part in listed(text)):
        raise ValueError("write paths of metadata like client_ip,params.headers")
    return text


def _kinds(text: str) -> str:
    for part in listed(text):
        event_type, _, decision = part.partition(":")
        if not event_type or decision not in _DECISIONS or part.endswith(":"):
            raise ValueError("write event types like discovery,tool_invoke:allow")
        if event_type == TELEMETRY and decision:
            raise ValueError("telemetry has no decision: write telemetry alone")
    return text


class SplunkSettings(Group):
    """Splunk's HTTP Event Collector; on when its URL is set."""

    url: Annotated[HttpUrl, AfterValidator(_collector)] | None = Field(
        None, description="https://host:8088: the collector's address. Set: the sink is on."
    )
    token: SecretStr | None = Field(
        None, description="The collector's token (a secret; read again when its file changes)."
    )
    ack: bool = Field(
        default=False,
        description="Wait for indexer acknowledgement: the token must have it enabled.",
    )
    index: Text | None = Field(
        None, min_length=1, description="The index to write to. Default: the token's."
    )
    sourcetype: Text = Field("sark:gateway", min_length=1, description="See deploy/splunk/.")
    verify_tls: bool = Field(default=True, description="Check the collector's certificate.")
    cafile: Path | None = Field(None, description="CA certificates that vouch for the collector.")

    def require_token(self) -> str:
        """Return the token; refuse with what to set when there is none."""
        return _require(self.token, "INGEST_SPLUNK__TOKEN")

    def contradictions(self) -> Iterator[str]:
        """Name settings that do not go together."""
        if self.cafile is not None and not self.cafile.is_file():
            yield "INGEST_SPLUNK__CAFILE: no such file"
        if self.cafile is not None and not self.verify_tls:
            yield "INGEST_SPLUNK__CAFILE and __VERIFY_TLS=false contradict each other: set one"


class DatadogSettings(Group):
    """Datadog's log intake; on when its key is set."""

    site: str = Field(
        "datadoghq.com",
        pattern=r"^[a-z0-9.-]+\.[a-z]+$",
        description="The site of the account: datadoghq.eu, us3.datadoghq.com, ...",
    )
    url: HttpUrl | None = Field(
        None, description="The intake's address in place of the site's: a proxy, say."
    )
    api_key: SecretStr | None = Field(
        None, description="An API key (a secret; read again when its file changes). Set: on."
    )
    service: Text = Field("sark-gateway", min_length=1, description="The logs' service.")
    tags: Text = Field("", description="Tags of each log: env:prod,team:security.")

    def require_api_key(self) -> str:
        """Return the key; refuse with what to set when there is none."""
        return _require(self.api_key, "INGEST_DATADOG__API_KEY")

    @property
    def intake(self) -> str:
        """The address that logs are sent to, without its path."""
        return self.url or f"https://http-intake.logs.{self.site}"

    def contradictions(self) -> Iterator[str]:
        """Name settings that do not go together."""
        if self.url is not None and "site" in self.model_fields_set:
            yield "INGEST_DATADOG__URL and __SITE contradict each other: set one"


class ForwardSettings(Group):
    """What leaves for the sinks; the database keeps everything."""

    redact: Annotated[str, AfterValidator(_paths)] = Field(
        "",
        description="Paths of metadata whose values no sink gets: client_ip,params.headers.",
    )
    leave_out: Annotated[str, AfterValidator(_kinds)] = Field(
        "",
        description="Events that no sink gets, by type, or type and decision: "
        "discovery,tool_invoke:allow.",
    )

    @property
    def redacted_paths(self) -> tuple[tuple[str, ...], ...]:
        """The keys of each path below `metadata`."""
        return tuple(_path(part) for part in listed(self.redact))

    @property
    def left_out(self) -> frozenset[str]:
        """The rules, `type` or `type:decision`."""
        return frozenset(listed(self.leave_out))


def _require(secret: SecretStr | None, variable: str) -> str:
    text = "" if secret is None else secret.get_secret_value().strip()
    if not text:
        raise SetupError(f"{variable} is not set: the sink cannot be asked without it")
    if not (text.isascii() and text.isprintable()):
        # A header cannot carry it, and what refuses it would print it.
        raise SetupError(f"{variable} is no token: it has characters that no header can carry")
    return text
