"""Settings of anchors: a key and a place go together, and a wrong one is said by its name."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingest_service import settings
from ingest_service.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INGEST_SECRETS_DIR", str(tmp_path / "none"))
    (tmp_path / "key").touch()


def test_no_anchors_unless_there_is_a_key() -> None:
    """Nothing is signed until somebody gives a key; then every hour."""
    anchor = settings.load().anchor
    assert (anchor.key_file, anchor.every) == (None, timedelta(hours=1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"KEY_FILE": "/none", "FILE": "f"}, "INGEST_ANCHOR__KEY_FILE: no such file"),
        ({"KEY_FILE": "key"}, "needs INGEST_ANCHOR__FILE or INGEST_ANCHOR__TOPIC"),
        ({"FILE": "f"}, "need INGEST_ANCHOR__KEY_FILE"),
        ({"TOPIC": "t"}, "need INGEST_ANCHOR__KEY_FILE"),
        ({"EVERY": "5s"}, "INGEST_ANCHOR__EVERY"),
        ({"EVERY": "2d"}, "INGEST_ANCHOR__EVERY"),
    ],
)
def test_what_does_not_fit_together_is_said(
    given: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One message names the variable."""
    monkeypatch.chdir(tmp_path)
    for name, text in given.items():
        monkeypatch.setenv(f"INGEST_ANCHOR__{name}", text)
    with pytest.raises(SetupError, match=said):
        settings.load()


@pytest.mark.parametrize("place", ["FILE", "TOPIC"])
def test_a_key_and_a_place_are_enough(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Either place will do."""
    monkeypatch.setenv("INGEST_ANCHOR__KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv(f"INGEST_ANCHOR__{place}", "x")
    assert settings.load().anchor.key_file == tmp_path / "key"
