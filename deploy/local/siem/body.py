"""The body of a request, unpacked."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from isal import igzip, igzip_lib

if TYPE_CHECKING:
    from .wire import Request

_ISAL_ERROR: Any = igzip_lib.IsalError  # its stub does not say that it is an exception type
_gunzip: Any = igzip.decompress  # nor the types of this one
_BROKEN = (EOFError, OSError, zlib.error, _ISAL_ERROR)
ENCODINGS = ("", "identity", "gzip")


class CannotUnpackError(ValueError):
    """The body is not what Content-Encoding says."""


def encoding_is_known(request: Request) -> bool:
    """Tell whether the encoding is one that is taken: gzip or none."""
    return request.headers.get("content-encoding", "").lower() in ENCODINGS


def unpacked(request: Request) -> bytes:
    """Return the uncompressed body; raise CannotUnpackError when it is cut or damaged."""
    if request.headers.get("content-encoding", "").lower() != "gzip" or not request.body:
        return request.body
    try:
        body: bytes = _gunzip(request.body)
    except _BROKEN as exc:
        raise CannotUnpackError from exc
    return body
