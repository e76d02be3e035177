"""Where a sink is with a record, from its forwarder's offset and the dead letters."""

from __future__ import annotations

import pytest

from ingest_service.compliance.sighting import AtSink, Letter, Sighting, SinkState, Standing
from ingest_service.compliance.trace_kafka import at_sinks
from ingest_service.ledger import Stream

SEEN = Sighting(Stream(1, "t", 2, 1), 10, Standing.ROW)


@pytest.mark.parametrize(
    ("offset", "state"), [(10, SinkState.WAITING), (11, SinkState.PASSED), (0, SinkState.WAITING)]
)
def test_an_offset_passes_only_what_is_before_it(offset: int, state: SinkState):
    """A committed offset is the next to be sent."""
    assert at_sinks(SEEN, (), {("splunk", 2): offset}, ()) == [AtSink("splunk", state, offset)]


def test_sink_that_is_on_and_has_no_offset_has_not_begun():
    """Another partition's offset says nothing; a sink that is off and never was is not named."""
    assert at_sinks(SEEN, ("splunk",), {("datadog", 1): 99}, ()) == [
        AtSink("splunk", SinkState.NOT_BEGUN, None)
    ]


def test_the_last_dead_letter_counts():
    """Refused, sent again, refused again: the newest letter says how it stands."""
    letters = [
        Letter("splunk", "refused", 400, 1, True),
        Letter("splunk", "refused", 400, 2, False),
    ]
    [at] = at_sinks(SEEN, (), {("splunk", 2): 99}, letters)
    assert (at.state, at.letter) == (SinkState.DEAD_LETTERED, letters[1])
    [at] = at_sinks(SEEN, (), {("splunk", 2): 99}, letters[:1])
    assert at.state is SinkState.SENT_AGAIN
