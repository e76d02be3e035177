"""The only judge of a record: a pure function of the record, the contract's version, the limits."""

from ingest_service.events.record import Limits, Record, Row
from ingest_service.events.rejection import Rejection

CONTRACT = 1
"""The contract's newest version: what a new ledger entry is decoded by."""


def decode(record: Record, contract: int = CONTRACT, limits: Limits = Limits()) -> Row | Rejection:
    """Return the row that this record is, or the rejection that says why it is none."""
    raise LookupError
