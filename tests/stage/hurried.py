"""`ingest-service` with other constants, for waits that last minutes in production.

STAGE_CONSTANTS={"ingest_service.adapters.kafka._MAX_POLL_MS": 3000}: nobody who runs the service
has a reason to set these, so they are no settings. STAGE_CLOCK_DAYS=365 shifts the wall clock.
"""

from __future__ import annotations

import importlib
import json
import os
import time

from ingest_service.cli import main

right, shift = time.time, int(os.environ.get("STAGE_CLOCK_DAYS", "0")) * 86_400
time.time = lambda: right() + shift
for name, value in json.loads(os.environ["STAGE_CONSTANTS"]).items():
    module_name, _, constant = name.rpartition(".")
    module = importlib.import_module(module_name)
    assert hasattr(module, constant), name
    setattr(module, constant, value)
main()
