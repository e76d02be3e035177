"""`ingest-service persist`: the worker that writes audit events to the database."""

from ingest_service import settings
from ingest_service.cli.output import run_worker
from ingest_service.telemetry import logs


def persist() -> None:
    """Write audit events from Kafka to the database, exactly once, until told to stop.

    Start as many as there are partitions: the consumer group shares them out. SIGTERM or Ctrl-C
    writes what has gathered and leaves; after a SIGKILL the next worker goes on at the ledger's
    last entry. Needs INGEST_DATABASE__DSN with the role gateway_audit_writer.

    Example: INGEST_DATABASE__DSN=postgresql://writer@localhost/audit ingest-service persist
    """
    from ingest_service import worker  # noqa: PLC0415 - costly to import, not for --help

    config = settings.load()
    logs.configure(config.log.level, config.log.format)
    run_worker(worker.persist(config))
