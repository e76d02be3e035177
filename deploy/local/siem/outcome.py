"""What a sink makes of one request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .wire import JSON, Answer

if TYPE_CHECKING:
    from .arrived import Entry
    from .faults import Fault


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, the entries that were taken in, and what the sink would not have told."""

    answer: Answer
    taken: list[Entry] = field(default_factory=list)
    # What a real sink takes without a word and then does not keep as it came.
    problems: list[str] = field(default_factory=list)
    # Accepted unread, to be counted when somebody asks.
    uncounted: bool = False


def scripted_answer(fault: Fault) -> Answer:
    """Return a fault's own status, headers and body; text is sent as it is, anything else as JSON.

    A text that is no JSON goes out as HTML, as a front end's error page does.
    """
    if fault.body is None:
        body, kind = b"", JSON
    elif isinstance(fault.body, str):
        body, kind = fault.body.encode(), "text/html"
    else:
        body, kind = json.dumps(fault.body).encode(), JSON
    return Answer(fault.status or 200, body, kind, fault.headers)
