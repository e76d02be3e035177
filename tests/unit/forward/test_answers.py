"""What each answer of a sink means: the documents' tables once more, and nothing is guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.forward.answers import (
    Accepted,
    Answer,
    Bisect,
    Isolate,
    Ours,
    Outcome,
    Retry,
    Split,
    retry_after,
)
from made_sinks import datadog, splunk

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_700_000_000.0
HTML = b"<!doctype html><html><head><title>413 Content Too Large</title></head></html>"
COUNT = 10


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, body, NOW)


def hec(status: int, code: int, **more: Any) -> Answer:
    return answer(status, json.dumps({"text": "words", "code": code, **more}).encode())


def asked_splunk(given_answer: Answer, count: int = COUNT, *, must_ack: bool = False) -> Outcome:
    return splunk(must_ack=must_ack).judge(given_answer, count)


def asked_datadog(given_answer: Answer, count: int = COUNT) -> Outcome:
    return datadog().judge(given_answer, count)


def at(place: int) -> dict[str, int]:
    return {"invalid-event-number": place}


# --- Splunk --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_answer", "outcome"),
    [
        (hec(200, 0), Accepted),
        (hec(200, 24), Accepted),
        (hec(200, 25), Accepted),
        (hec(403, 1), Ours),
        (hec(403, 4), Ours),
        (hec(401, 2), Ours),
        (hec(401, 3), Ours),
        (hec(400, 5), Ours),
        (hec(400, 7, **at(3)), Ours),
        (hec(500, 8), Retry),
        (hec(503, 9), Retry),
        (hec(400, 10), Ours),
        (hec(400, 11), Ours),
        (hec(400, 28), Ours),
        (hec(400, 14), Ours),
        (hec(400, 16), Ours),
        (hec(503, 18), Retry),
        (hec(503, 19), Retry),
        (hec(503, 20), Retry),
        (hec(503, 23), Retry),
        (hec(429, 26), Retry),
        (hec(429, 27), Retry),
        (answer(404, HTML), Retry),
        (answer(408), Retry),
        (answer(413, HTML), Split),
        (answer(415, HTML), Ours),
        (answer(429, HTML), Retry),
        (answer(401, HTML), Ours),
        (answer(403, HTML), Ours),
        (answer(500), Retry),
        (answer(502, HTML), Retry),
        (answer(504), Retry),
        (answer(301), Ours),
        (answer(307), Ours),
        (answer(405), Ours),
    ],
    ids=str,
)
def test_splunk_answers_as_documented(given_answer: Answer, outcome: type):
    """Each code and status leads to the reaction that its document asks for."""
    assert isinstance(asked_splunk(given_answer), outcome)


@pytest.mark.parametrize("code", [6, 12, 13, 15])
@pytest.mark.parametrize("place", [1, 5, COUNT - 1])
def test_splunk_names_the_refused_event(code: int, place: int):
    """Those before it are indexed: it alone is taken out, and the rest is sent."""
    outcome = asked_splunk(hec(400, code, **at(place)))
    assert isinstance(outcome, Isolate)
    assert (outcome.place, outcome.before_accepted) == (place, True)


def test_splunk_reasons_differ_by_code():
    """A dead letter's reason says what Splunk disliked."""
    reasons = {asked_splunk(hec(400, code, **at(1))).why.code for code in (6, 12, 13, 15)}  # type: ignore[union-attr]
    assert reasons == {"bad_format", "no_event", "blank_event", "bad_fields"}


def test_splunk_first_event_with_code_6_may_be_the_clouds_size_limit():
    """Splunk Cloud names event 0 when the whole is too large: halves tell; one event is refused."""
    assert isinstance(asked_splunk(hec(400, 6, **at(0))), Split)
    assert isinstance(asked_splunk(hec(400, 12, **at(0))), Isolate)
    alone = asked_splunk(hec(400, 6, **at(0)), count=1)
    assert isinstance(alone, Isolate)
    assert alone.place == 0


@pytest.mark.parametrize("code", [6, 12, 13, 15])
@pytest.mark.parametrize("more", [{}, at(COUNT), at(-1), {"invalid-event-number": None}])
def test_splunk_number_outside_the_request_is_not_believed(code: int, more: dict[str, Any]):
    """Nobody is dead-lettered on a number that names no event."""
    assert isinstance(asked_splunk(hec(400, code, **more)), Bisect)


@pytest.mark.parametrize(("more", "accepted"), [({}, 0), (at(4), 4), (at(COUNT), 0), (at(-2), 0)])
def test_splunk_busy_may_have_taken_the_first_ones(more: dict[str, Any], accepted: int):
    """Events before the number are indexed: sending them again would make them double."""
    outcome = asked_splunk(hec(503, 9, **more))
    assert isinstance(outcome, Retry)
    assert outcome.accepted == accepted


@pytest.mark.parametrize(("code", "slow_down"), [(0, False), (24, True), (25, True)])
def test_splunk_nearly_full_is_accepted(code: int, slow_down: bool):
    """Its queues are nearly full, and it has the events: no resending, only patience."""
    assert asked_splunk(hec(200, code)) == Accepted(None, slow_down)
    assert asked_splunk(hec(200, code, ackId=7), must_ack=True) == Accepted(7, slow_down)


def test_splunk_ack_is_not_awaited_when_the_settings_do_not_ask():
    """A token that has acknowledgement on answers with an id all the same."""
    assert asked_splunk(hec(200, 0, ackId=7)) == Accepted(None)


@pytest.mark.parametrize("more", [{}, {"ackId": None}, {"ackId": -1}])
def test_splunk_without_ack_id_is_ours_to_fix(more: dict[str, Any]):
    """Asked for acknowledgement, a 200 alone does not mean durable."""
    outcome = asked_splunk(hec(200, 0, **more), must_ack=True)
    assert isinstance(outcome, Ours)
    assert outcome.why.code == "ack_missing"


@pytest.mark.parametrize(
    "body",
    [b"", b'{"text":"Succ', HTML, b"[]", b"0", b"{}", b'{"code":"0"}', b'{"code":0', b"\xff",
     b'{"code":true}', b'{"code":7}', b'{"code":99}', b"[" * 9000],
)  # fmt: skip
@pytest.mark.parametrize("must_ack", [False, True])
def test_splunk_200_that_does_not_say_success_is_none(body: bytes, must_ack: bool):
    """Cut short, or a proxy's page: the events may not be there."""
    assert isinstance(asked_splunk(answer(200, body), must_ack=must_ack), Retry)


# --- Splunk's acknowledgements -------------------------------------------------------------------


def acks_of(given_answer: Answer) -> frozenset[int] | Outcome:
    acks = splunk(must_ack=True).acks
    assert acks is not None
    return acks.judge(given_answer)


def test_acks_are_those_that_are_true():
    """What is false may come later."""
    assert acks_of(answer(200, b'{"acks":{"0":true,"1":false,"12":true}}')) == {0, 12}


@pytest.mark.parametrize(
    "body",
    [b"", b'{"acks":{"0":tr', b'{"acks":{"x":true}}', b'{"acks":{"0":1}}', b"{}", HTML, b"\xff"],
)
def test_acks_that_cannot_be_read_are_asked_for_again(body: bytes):
    """Nothing counts as acknowledged on a guess."""
    assert isinstance(acks_of(answer(200, body)), Retry)


@pytest.mark.parametrize(
    ("given_answer", "outcome"),
    [
        (hec(400, 14), Ours),
        (hec(400, 10), Ours),
        (hec(403, 4), Ours),
        (hec(503, 19), Retry),
        (answer(404, HTML), Retry),
        (answer(413, HTML), Ours),
        (answer(202), Ours),
    ],
    ids=str,
)
def test_poll_is_answered_like_a_request(given_answer: Answer, outcome: type):
    """Retry, or ours to fix; a poll can be neither split nor accepted."""
    assert isinstance(acks_of(given_answer), outcome)


# --- Datadog -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (202, Accepted),
        (400, Bisect),
        (401, Ours),
        (403, Ours),
        (404, Ours),
        (408, Retry),
        (413, Split),
        (415, Ours),
        (429, Retry),
        (500, Retry),
        (502, Retry),
        (503, Retry),
        (504, Retry),
        (599, Retry),
        (200, Ours),
        (204, Ours),
        (302, Ours),
        (418, Ours),
    ],
)
def test_datadog_answers_as_documented(status: int, outcome: type):
    """Each status leads to the reaction that its document asks for; only a 202 is success."""
    assert isinstance(asked_datadog(answer(status)), outcome)


# --- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [asked_splunk, asked_datadog])
@given(
    status=st.integers(100, 999),
    body=st.binary(max_size=30)
    | st.builds(
        lambda code, place: json.dumps({"code": code, "invalid-event-number": place}).encode(),
        st.integers(-1, 40),
        st.none() | st.integers(-3, 20),
    ),
)
def test_nothing_is_success_but_what_the_documents_call_so(ask: Any, status: int, body: bytes):
    """No other answer lets an offset pass, and none names an event that was not sent."""
    outcome = ask(answer(status, body))
    if isinstance(outcome, Accepted):
        if ask is asked_datadog:
            assert status == 202
        else:
            assert (status, json.loads(body)["code"] in {0, 24, 25}) == (200, True)
    if isinstance(outcome, Isolate):
        assert 0 <= outcome.place < COUNT


@pytest.mark.parametrize("ask", [asked_splunk, asked_datadog])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_handed_on(ask: Any, status: int):
    """The pipeline waits as long as the sink asks."""
    outcome = ask(answer(status, HTML, {"retry-after": "17"}))
    assert isinstance(outcome, Retry)
    assert outcome.after_seconds == 17.0


@pytest.mark.parametrize("ask", [asked_splunk, asked_datadog])
def test_reasons_show_nothing_of_the_answer(ask: Any):
    """A sink may repeat the event, or the token: neither gets into a log or a label."""
    for status in (200, 202, 301, 400, 401, 403, 404, 413, 418, 429, 503):
        outcome = ask(answer(status, b"s3cret", {"location": "https://s3cret"}))
        assert "s3cret" not in repr(outcome)


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "9" * 400}, 999_999_999.0),
        ({"retry-after": http_date(NOW + 30)}, 30.0),
        ({"retry-after": http_date(NOW - 30)}, 0.0),
        ({"retry-after": http_date(NOW + 90), "date": http_date(NOW + 60)}, 30.0),
        ({"retry-after": http_date(NOW + 30), "date": "today"}, 30.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "\u0661"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Mon, 99 Foo 2026 99:99:99 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None):
    """Seconds or a date, by the sink's own clock where it tells it; nonsense is none."""
    assert retry_after(headers, NOW) == seconds


@given(text=st.text(max_size=40))
def test_retry_after_never_raises(text: str):
    """A sink's header cannot stop a pipeline."""
    seconds = retry_after({"retry-after": text}, NOW)
    assert seconds is None or seconds >= 0
