from __future__ import annotations

import socket
import ssl

import pytest

from ingest_service.adapters.database_errors import why_unreachable


def _untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (TimeoutError(), "no answer in time"),
        (FileNotFoundError(2, "No such file"), "is not there"),
        (_untrusted(), "not accepted: self-signed certificate"),
        (ConnectionResetError(104, "reset"), "ConnectionResetError"),
    ],
)
def test_database_that_cannot_be_reached_says_why(exc: OSError, words: str) -> None:
    """An operator reads what stands in the way, not the name of a class of Python's."""
    assert words in why_unreachable(exc)
