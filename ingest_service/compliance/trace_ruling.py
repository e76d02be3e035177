"""What the decoder says of one kept record, by the rules of its entry. Pure."""

import msgspec

from ingest_service.events.decode import UnknownContractError, decoder
from ingest_service.events.record import Limits, Row
from ingest_service.events.rejection import Reason
from ingest_service.ledger import Entry
from ingest_service.originals import Original

_WHILE_WRITING = {Reason.ID_REUSED.value, Reason.REFUSED_BY_DATABASE.value}


def ruling(entry: Entry, original: Original) -> Row | str | None:
    """Return the row that a record decodes to, None for a rejection, or what is wrong."""
    try:
        limits = msgspec.json.decode(entry.limits, type=dict[str, int])
        ruled = decoder(entry.contract, Limits(**limits))(original.record)
    except (UnknownContractError, msgspec.MsgspecError, TypeError):
        return "this version cannot decode it: the entry's contract or limits are unknown here"
    verdict = original.verdict
    if isinstance(ruled, Row):
        if isinstance(verdict, str) and verdict not in _WHILE_WRITING:
            return f"the verdict is {verdict}, and the record decodes to a row"
        return ruled
    if verdict != ruled.reason.value:
        said = verdict if isinstance(verdict, str) else "a row"
        return f"the verdict is {said}, and the decoder says {ruled.reason.value}"
    return None
