from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from ingest_service.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Yield what is logged, as JSON lines; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
