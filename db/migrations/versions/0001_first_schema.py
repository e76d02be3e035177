"""Streams, ledger, originals, events, quarantine; roles and views."""

from alembic import context, op

from ingest_service.adapters.migrations import run_script, timescaledb_wanted

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make everything, on whichever edition this database is."""
    for name in ("roles", "ledger", "records"):
        run_script(f"0001/{name}.sql")
    if timescaledb_wanted():
        op.execute("create extension if not exists timescaledb")
        run_script("0001/hypertables.sql")
    else:
        run_script("0001/partitions.sql")
    for name in ("indexes", "views", "grants", "first_partitions"):
        run_script(f"0001/{name}.sql")


def downgrade() -> None:
    """Drop everything but the roles; refuse while the ledger holds something, unless forced."""
    if not context.config.attributes["force"]:
        run_script("0001/guard.sql")
    run_script("0001/down.sql")
