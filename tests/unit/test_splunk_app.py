"""What is shipped for Splunk hangs together, and fits what the forwarder sends."""

import re
from configparser import ConfigParser

import pytest

from ingest_service.events.v1.bounds import MAX_VALUE_BYTES
from ingest_service.settings_sinks import SplunkSettings
from stack.state import REPOSITORY

APP = REPOSITORY / "deploy" / "splunk"
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
        stanza["search"] for name, stanza in conf("savedsearches.conf").items() if name != "DEFAULT"
    ]
    macros, fields = conf("macros.conf").sections(), conf("fields.conf").sections()
    assert {used for text in searches for used in re.findall(r"`(\w+)`", text)} <= set(macros)
    counted = [text for text in searches if "tstats" in text]
    assert counted
    for text in counted:
        by = re.search(r" by ([\w ]+?) \|", text).group(1).split()
        assert set(by) | set(re.findall(r"\((\w+)\) as", text)) <= set(fields)


def test_tags_are_for_event_types_that_are_there():
    """A tag names a search that is defined."""
    tagged = {name.removeprefix("eventtype=") for name in conf("tags.conf").sections()}
    assert tagged == set(conf("eventtypes.conf").sections())
