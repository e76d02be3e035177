"""The only judge of a record: a pure function of the record, the contract's version, the limits."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from ingest_service.errors import IngestError
from ingest_service.events.record import Limits, Record, Row
from ingest_service.events.rejection import Rejection
from ingest_service.events.v1 import ordinary as v1

CONTRACT: Final = 1
"""The contract's newest version: what a new ledger entry is decoded by."""

DEFAULT_LIMITS: Final = Limits()

Decode = Callable[[Record], Row | Rejection]

_CONTRACTS: Final[Mapping[int, Callable[[Limits], Decode]]] = {1: v1.decoder}
"""Every contract ever released; none is taken out or changed."""


class UnknownContractError(IngestError):
    """A ledger entry names a contract that this version of the service does not have."""

    def __init__(self, contract: int) -> None:
        super().__init__(
            f"contract {contract} cannot be decoded by this version, which knows"
            f" {', '.join(map(str, _CONTRACTS))}: use a newer ingest-service"
        )
        self.contract = contract


@lru_cache(maxsize=64)
def decoder(contract: int = CONTRACT, limits: Limits = DEFAULT_LIMITS) -> Decode:
    """Return the function that judges records by this contract and these limits.

    For hot loops: bound once, called once a record. Raises `UnknownContractError`.
    """
    try:
        bind = _CONTRACTS[contract]
    except KeyError:
        raise UnknownContractError(contract) from None
    return bind(limits)


def decode(
    record: Record, contract: int = CONTRACT, limits: Limits = DEFAULT_LIMITS
) -> Row | Rejection:
    """Return the row that this record is, or the rejection that says why it is none."""
    return decoder(contract, limits)(record)
