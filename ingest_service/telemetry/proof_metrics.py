"""When the audit was last proved and signed; every persister shows the same: aggregate with max."""

from prometheus_client import CollectorRegistry

from ingest_service.shapes import Proof
from ingest_service.telemetry import metrics_proof as metrics
from ingest_service.telemetry.instruments import Gauge


class ProofMetrics:
    """What never happened has no series: an alert on its age asks `absent` as well."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._verified = Gauge(metrics.LAST_VERIFICATION, registry)
        self._findings = Gauge(metrics.VERIFICATION_FINDINGS, registry)
        self._anchored = Gauge(metrics.LAST_ANCHOR, registry)

    def show(self, proof: Proof) -> None:
        """Show what the database knows of it."""
        for result, at in zip(metrics.RESULTS, (proof.good_at, proof.bad_at), strict=True):
            if at is not None:
                self._verified.set((result,), at)
        if proof.findings is not None:
            self._findings.set((), proof.findings)
        if proof.anchored_at is not None:
            self._anchored.set((), proof.anchored_at)
