"""What `verify` found, and which heads were signed."""

from ingest_service.adapters.migrations import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the two tables and their views."""
    run_script("0003/proof.sql")


def downgrade() -> None:
    """Drop them."""
    run_script("0003/down.sql")
