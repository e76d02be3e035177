"""What was proved and signed last: shown once there is something, as the database has it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from ingest_service.shapes import Proof
from ingest_service.telemetry.proof_metrics import ProofMetrics


def test_what_never_happened_has_no_series() -> None:
    """An alert can tell a run that is long ago from one that never was."""
    registry = CollectorRegistry()
    metrics = ProofMetrics(registry)
    metrics.show(Proof(None, None, None, None))
    name = "sark_audit_last_verification_timestamp_seconds"
    assert registry.get_sample_value(name, {"result": "good"}) is None
    metrics.show(Proof(10.0, 5.0, 0, 7.0))
    assert registry.get_sample_value(name, {"result": "good"}) == 10.0
    assert registry.get_sample_value(name, {"result": "bad"}) == 5.0
    assert registry.get_sample_value("sark_audit_verification_findings") == 0
    assert registry.get_sample_value("sark_audit_last_anchor_timestamp_seconds") == 7.0
