"""Another log level without a restart: SIGHUP reads the setting again."""

import asyncio
import os
import signal
import sys

import structlog

from ingest_service import settings
from ingest_service.errors import SetupError
from ingest_service.telemetry import logs

_VARIABLE = "INGEST_LOG__LEVEL"

_log = structlog.get_logger(__name__)


def change_level_on_hangup() -> None:
    """Have SIGHUP read INGEST_LOG__LEVEL again, from its file in the secrets directory.

    A process's environment cannot be changed from outside, and it comes first: a level that is set
    there stays, and the log says so. On a terminal SIGHUP means that it was closed, and ends the
    worker as ever.
    """
    if sys.stderr.isatty():
        return
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_level_again)


def read_level_again() -> None:
    """Take the level that the settings have now; bad ones change nothing."""
    try:
        level = settings.load().log.level
    except SetupError as exc:
        _log.error("log level stays", why=str(exc))
        return
    logs.set_level("info")  # so that the next line is written whatever the level was and will be
    _log.info("log level set", to_level=level, source=_source())
    logs.set_level(level)


def _source() -> str:
    if any(variable.upper() == _VARIABLE for variable in os.environ):
        return "environment: unset it there to set it by file"
    return "secrets directory" if _VARIABLE in settings.secret_files() else "default"
