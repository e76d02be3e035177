"""Showing a database's address without its secrets."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

MASK = "********"


def masked(dsn: str) -> str:
    """Return the address with every password masked; all of it when it is no URL."""
    try:
        parts = urlsplit(dsn)
        password = parts.password
    except ValueError:
        return MASK
    if parts.scheme not in ("postgres", "postgresql"):
        return MASK
    address = parts.netloc
    if password is not None:
        userinfo, _, hosts = parts.netloc.rpartition("@")
        address = f"{userinfo.partition(':')[0]}:{MASK}@{hosts}"
    query = [
        (key, MASK if "pass" in key.lower() else value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    encoded = urlencode(query, safe="/*", quote_via=quote)
    return parts._replace(netloc=address, query=encoded).geturl()
