"""Audit ingest: gateway audit events from Kafka to TimescaleDB, exactly once and provable."""

__version__ = "0.1.0"
