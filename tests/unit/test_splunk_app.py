"""What is shipped for Splunk hangs together, and fits what the forwarder sends."""

import json
import re
from configparser import ConfigParser

import pytest

from given_events import GOOD, event
from ingest_service.events.v1.bounds import MAX_VALUE_BYTES
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.splunk import Envelope, Splunk
from ingest_service.settings_sinks import SplunkSettings
from made_sinks import encoded
from stack.state import REPOSITORY

APP = REPOSITORY / "deploy" / "splunk"
SPLUNK = Splunk(
    "https://splunk.example",
    lambda: "token",
    Envelope("host", "topic", "sark:gateway", None),
    Choice(),
    channel="",
    must_ack=False,
)
CONFS = sorted(path.name for path in (APP / "default").glob("*.conf"))


def conf(name: str) -> ConfigParser:
    """Read a file as Splunk does: keys keep their case, nothing is interpolated or repeated."""
    parser = ConfigParser(interpolation=None, strict=True, delimiters=("=",), comment_prefixes="#")
    parser.optionxform = str
    parser.read_string((APP / "default" / name).read_text())
    return parser


@pytest.mark.parametrize("name", CONFS)
def test_each_file_is_stanzas_of_settings(name: str):
    """No stanza twice, none without a setting."""
    assert all(conf(name)[stanza] for stanza in conf(name).sections())


def test_the_sourcetype_is_the_one_that_is_sent():
    """The definition stands under the name of the default setting."""
    assert conf("props.conf").sections() == [SplunkSettings().sourcetype]


def test_no_event_is_cut():
    """The largest event the service takes fits, with every byte of it escaped where it is text."""
    truncate = conf("props.conf")["sark:gateway"].getint("TRUNCATE")
    assert truncate >= 4 * MAX_VALUE_BYTES


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('{"id": "x", "timestamp": 1732460001.123456}', "1732460001.123456"),
        ('{"timestamp":1732460001, "reason": "r"}', "1732460001"),
    ],
)
def test_the_time_of_an_exported_event_is_found(text: str, seconds: str):
    """The prefix leads to the event's own time, and the look-ahead is long enough for it."""
    props = conf("props.conf")["sark:gateway"]
    place = re.search(props["TIME_PREFIX"], text).end()
    ahead = text[place : place + props.getint("MAX_TIMESTAMP_LOOKAHEAD")]
    assert re.match(r"[0-9.]+", ahead).group() == seconds


def test_searches_use_macros_and_fields_that_are_there():
    """Each macro of a search is defined; what is counted from the index alone is indexed."""
    searches = [
        conf("savedsearches.conf")[name]["search"] for name in conf("savedsearches.conf").sections()
    ]
    macros = conf("macros.conf").sections()
    assert {used for text in searches for used in re.findall(r"`(\w+)`", text)} <= set(macros)
    counted = [text for text in searches if "tstats" in text]
    assert counted
    for text in counted:
        by = re.search(r" by ([\w ]+?) \|", text).group(1).split()
        assert set(by) | set(re.findall(r"\((\w+)\) as", text)) <= indexed_fields()


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_indexed_fields_are_those_that_are_sent(decision: str):
    """Every field that the sink sends is declared, and no other; none hides a field of the event."""
    sent = json.loads(encoded(SPLUNK, event(decision=decision)))["fields"]
    assert set(sent) == indexed_fields()
    assert not indexed_fields() & {*GOOD}


def test_decisions_have_the_words_of_the_data_model():
    """CIM's Authentication model knows success and failure, and nothing else of ours."""
    words = [
        json.loads(encoded(SPLUNK, event(decision=d)))["fields"]["action"]
        for d in ("allow", "deny")
    ]
    assert words == ["success", "failure"]


def indexed_fields() -> set[str]:
    """Return the declared fields; each is for the sourcetype alone."""
    scope = f"sourcetype::{SplunkSettings().sourcetype}::"
    names = conf("fields.conf").sections()
    assert all(name.startswith(scope) for name in names)
    return {name.removeprefix(scope) for name in names}


def test_tags_are_for_event_types_that_are_there():
    """A tag names a search that is defined."""
    tagged = {name.removeprefix("eventtype=") for name in conf("tags.conf").sections()}
    assert tagged == set(conf("eventtypes.conf").sections())
