"""What a text may mean to `trace`."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.compliance.question import question

ID = UUID("0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f60")


@pytest.mark.parametrize("text", [str(ID), str(ID).upper(), ID.hex])
def test_audit_id_is_known_by_its_form(text: str):
    """With and without hyphens, in any case; it may be a request id all the same."""
    assert question(text) == (text, ID, None)


@pytest.mark.parametrize(("text", "place"), [("3:120045", (3, 120045)), ("0:0", (0, 0))])
def test_place_is_partition_and_offset(text: str, place: tuple[int, int]):
    """Two numbers with a colon between them."""
    assert question(text) == (text, None, place)


@pytest.mark.parametrize(
    "text", ["3:", ":3", "-1:2", "3:4:5", " 3:4", "\uff13:4", f"{{{ID}}}", "1:" + "9" * 30]
)
def test_everything_else_is_a_request_id(text: str):
    """What is nearly a place or an id is neither, and no number grows beyond the database's."""
    assert question(text) == (text, None, None)


@given(st.text())
def test_any_text_can_be_asked(text: str):
    """No text is an error."""
    assert question(text).text == text
