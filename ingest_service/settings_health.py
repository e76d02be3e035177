"""The settings of /health/detailed: what is asked beside the worker's own dependencies."""

import re
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from ingest_service.settings_types import Group, listed

_OURS = ("kafka", "database", "splunk", "datadog")
_HOW = "write name=tcp://host:port or name=http://host:port/path, with commas between them"


class ExtraProbe(NamedTuple):
    """A dependency of somebody's own: shown by its name, asked at its address."""

    name: str
    address: SplitResult

    @property
    def url(self) -> str:
        """The address as it is asked."""
        return self.address.geturl()


def _probe(text: str) -> ExtraProbe:
    name, _, url = text.partition("=")
    name, url = name.strip(), url.strip()
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", name):
        raise ValueError(f"{_HOW}; a name is lower-case letters, digits, _ and -")
    if name in _OURS:
        raise ValueError(f"{name} is asked already: take another name")
    return ExtraProbe(name, _address(name, url))


def _address(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{name}: {_HOW}") from None
    if parts.scheme not in {"tcp", "http", "https"} or not parts.hostname or port == 0:
        raise ValueError(f"{name}: {_HOW}")
    if parts.scheme == "tcp" and (port is None or parts.path.strip("/") or parts.query):
        raise ValueError(f"{name}: write tcp://host:port and nothing after it")
    if "@" in parts.netloc or parts.fragment or not url.isprintable() or " " in url:
        raise ValueError(f"{name}: write it without a user, a password, blanks or a fragment")
    return parts


def _probes(text: str) -> str:
    names = [_probe(part).name for part in listed(text)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two probes have the name {min(twice)}")
    return text


class HealthSettings(Group):
    """What /health/detailed shows beside Kafka, the database and the sinks."""

    probes: Annotated[str, AfterValidator(_probes)] = Field(
        "",
        description="Further dependencies to ask: redis=tcp://redis:6379,"
        "opa=http://opa:8181/health.",
    )

    @property
    def extra(self) -> tuple[ExtraProbe, ...]:
        """Each of them, in order."""
        return tuple(_probe(part) for part in listed(self.probes))
