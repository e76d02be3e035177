"""Views for what compliance asks, and how far everything is."""

from alembic import op

from ingest_service.adapters.migrations import community_licence, run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the views; hourly ones over continuous aggregates where the licence allows."""
    hourly = "aggregates" if community_licence() else "hourly"
    for name in ("progress", "views", hourly, "comments", "grants"):
        run_script(f"0002/{name}.sql")


def downgrade() -> None:
    """Drop what `upgrade` made, under whichever licence it did."""
    run_script("0002/down.sql")
    has = "select to_regclass('timescaledb_information.continuous_aggregates') is not null"
    if op.get_bind().exec_driver_sql(has).scalar_one():
        run_script("0002/drop_aggregates.sql")
