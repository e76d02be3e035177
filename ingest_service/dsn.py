"""Showing a database's address without its secrets."""

import re

MASK = "********"

_URL = re.compile(r"(postgres(?:ql)?://)(.*)", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*pass[^=&]*=).*", re.DOTALL | re.IGNORECASE)


def masked(dsn: str) -> str:
    """Return the address with every password masked; all of it when it is no URL.

    Not by parsing: a password with an unescaped `#`, `/`, `?` or `&` is cut elsewhere by a parser,
    and its rest would show.
    """
    url = _URL.fullmatch(dsn)
    if url is None:
        return MASK
    scheme, rest = url.groups()
    userinfo, at, address = rest.rpartition("@")
    if _SECRET_PARAMETER.search(userinfo):  # its @ may be one of the password's
        return MASK
    user, colon, _ = userinfo.partition(":")
    shown = f"{user}:{MASK}" if colon else user
    return scheme + shown + at + _SECRET_PARAMETER.sub(rf"\1{MASK}", address)
