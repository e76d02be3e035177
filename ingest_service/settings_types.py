"""What several groups of settings are made of."""

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Group(BaseModel):
    """Settings that share a prefix; a name that none of them has is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _duration(value: Any) -> Any:
    """Take `30d`, `12h`, `90m`, `45s` or plain seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d{1,9})\s*([smhdw]?)\s*", value)
    if match is None:
        raise ValueError("write a duration like 30d, 12h, 90m or 45s")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2] or "s"])


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _http_url(value: str) -> str:
    """Take an address without a query or a password: both would end up in logs."""
    try:
        parts = urlsplit(value.strip())
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("write https://host:port, without a query, a user or a password")
    return value.strip().rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]


def _printable(value: str) -> str:
    """Refuse what no header can carry: a line end inside a token or a tag is a slip of a file."""
    if not value.isprintable():
        raise ValueError("has a character that cannot be printed, a line end perhaps")
    return value.strip()


Text = Annotated[str, AfterValidator(_printable)]


def listed(text: str) -> tuple[str, ...]:
    """Return the parts between commas, without blanks; none is empty."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
