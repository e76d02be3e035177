"""Where a server comes from: the decision alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.choose import DATABASE, KAFKA, Facts, Kind, NoServerError, Source, choose

KINDS = st.sampled_from([KAFKA, DATABASE])
ENGINES = st.one_of(st.none(), st.just("there is no docker command"))
FORCED = st.sampled_from(["", "docker", "embedded"])


@given(kind=KINDS, engine=ENGINES, forced=FORCED)
def test_a_named_server_is_used_whatever_else_is_there(kind: Kind, engine: str | None, forced: str):
    """The environment wins over everything, and the sentence names the variable."""
    choice = choose(kind, Facts(named=True, engine=engine, forced=forced))
    assert choice.source is Source.ENVIRONMENT
    assert kind.variable in choice.sentence


@given(kind=KINDS)
def test_an_engine_that_answers_is_used(kind: Kind):
    """With an engine and nothing named, the server is a container of the stated image."""
    choice = choose(kind, Facts(named=False, engine=None))
    assert choice.source is Source.DOCKER
    assert kind.image in choice.sentence


@given(kind=KINDS, why=st.text(min_size=1))
def test_without_an_engine_the_server_is_embedded_and_says_why(kind: Kind, why: str):
    """No engine means the embedded server; the line repeats what the engine's absence was."""
    choice = choose(kind, Facts(named=False, engine=why))
    assert choice.source is Source.EMBEDDED
    assert why in choice.sentence


@given(kind=KINDS, engine=ENGINES)
def test_embedded_can_be_forced_beside_an_engine(kind: Kind, engine: str | None):
    """STACK=embedded wins over an engine, and the line says that it did."""
    choice = choose(kind, Facts(named=False, engine=engine, forced="embedded"))
    assert choice.source is Source.EMBEDDED
    assert "STACK=embedded" in choice.sentence


def test_docker_forced_without_an_engine_says_what_to_do():
    """A forced source that is not there is never replaced silently."""
    with pytest.raises(NoServerError, match=r"no socket.*STACK=embedded"):
        choose(KAFKA, Facts(named=False, engine="no socket", forced="docker"))


def test_an_unknown_stack_is_refused():
    """A misspelt STACK is not taken for nothing."""
    with pytest.raises(NoServerError, match="STACK=dokcer is not known"):
        choose(DATABASE, Facts(named=False, engine=None, forced="dokcer"))


@given(kind=KINDS, named=st.booleans(), engine=ENGINES, forced=FORCED)
def test_what_was_chosen_is_one_line(kind: Kind, named: bool, engine: str | None, forced: str):
    """Every choice is told in one line that begins with the server's name."""
    try:
        sentence = choose(kind, Facts(named, engine, forced)).sentence
    except NoServerError as error:
        sentence = f"{kind.title}: {error}"
    assert sentence.startswith(f"{kind.title}: ")
    assert len(sentence.splitlines()) == 1
