"""The catalogue: every metric is declared once, in one of the modules that are gathered here.

Names are fixed: dashboards and alerts use them. `docs/metrics.md` and `schemas/telemetry.json` are
written from it (`page.py`, `told_schema.py`), kept in step by a test.
"""

from ingest_service.telemetry.metrics_gateway import GATEWAY
from ingest_service.telemetry.metrics_gateway_told import GATEWAY_TOLD
from ingest_service.telemetry.metrics_persister import PERSISTER
from ingest_service.telemetry.metrics_policy import POLICY
from ingest_service.telemetry.metrics_proof import PROOF
from ingest_service.telemetry.metrics_publisher import PUBLISHER
from ingest_service.telemetry.metrics_siem import SIEM

CATALOGUE = (*GATEWAY, *GATEWAY_TOLD, *POLICY, *PERSISTER, *PROOF, *SIEM, *PUBLISHER)
TOLD = {declaration.told: declaration for declaration in CATALOGUE if declaration.told}
"""By the name that a gateway's telemetry uses."""
