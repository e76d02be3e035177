"""`ingest-service` with other constants, for waits that last minutes in production.

STAGE_CONSTANTS={"ingest_service.adapters.kafka_consumer._MAX_POLL_MS": 3000}: nobody who runs the
service has a reason to set these, so they are no settings. An object stands for a class that is
made with these arguments: {"ingest_service.worker.BatchLimits": {"max_records": 9}}.
STAGE_CLOCK_DAYS=365 shifts the wall clock.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import time
from functools import partial

right, shift = time.time, int(os.environ.get("STAGE_CLOCK_DAYS", "0")) * 86_400


class Shifted(dt.datetime):
    """Now is when the shifted clock says."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Shifted:
        return cls.fromtimestamp(right() + shift, tz)


if shift:
    time.time = lambda: right() + shift
    dt.datetime = Shifted
for name, value in json.loads(os.environ["STAGE_CONSTANTS"]).items():
    module_name, _, constant = name.rpartition(".")
    module = importlib.import_module(module_name)
    real = getattr(module, constant)
    setattr(module, constant, partial(real, **value) if isinstance(value, dict) else value)
importlib.import_module("ingest_service.cli").main()
