"""The dashboard "SARK Audit Pipeline": whether anything is lost or late, and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.frame import firing, framed
from boards.pipeline.persisting import persisting
from boards.pipeline.processes import processes
from boards.pipeline.publishing import publishing
from boards.pipeline.refused import refused
from boards.pipeline.sinks import sinks
from boards.pipeline.storage import storage
from boards.pipeline.verdict import PIPELINE, verdict

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard


def pipeline() -> Dashboard:
    """Return the dashboard."""
    return framed(
        "sark-audit-pipeline",
        "SARK Audit Pipeline",
        "From the gateways' publishers through Kafka to the database and the SIEMs. The first "
        "row answers whether anything is being lost or is late; the others say where.",
        sections=[
            ("Is anything being lost, or late?", verdict()),
            ("Kafka to database", persisting()),
            ("Kafka to SIEMs", sinks()),
            ("Refused records", refused()),
            ("Gateways to Kafka", publishing()),
            ("Storage", storage()),
            ("Workers", processes()),
        ],
        annotations=[firing(PIPELINE)],
        span="now-3h",
    )
