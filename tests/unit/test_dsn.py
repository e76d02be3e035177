from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.dsn import MASK, masked

SAFE = st.text("abcdefgh", min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://u:secret@h:5432/db", f"postgresql://u:{MASK}@h:5432/db"),
        ("postgres://u:se%40cr:et@h1:1,h2:2/db", f"postgres://u:{MASK}@h1:1,h2:2/db"),
        ("postgresql://u:p@ss@h/db", f"postgresql://u:{MASK}@h/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql:///db?host=/run&password=s", f"postgresql:///db?host=/run&password={MASK}"),
        ("postgresql://h/db?sslpassword=s", f"postgresql://h/db?sslpassword={MASK}"),
        ("host=h password=secret", MASK),
        ("postgresql://h:5/db?user=u&password=se@cret", MASK),
        ("postgresql://u@h/db?application_name=a@b", "postgresql://u@h/db?application_name=a@b"),
        ("postgresql://u:secret@[::1/db", f"postgresql://u:{MASK}@[::1/db"),
        ("", MASK),
    ],
)
def test_address_is_shown_and_its_secret_is_not(dsn: str, shown: str) -> None:
    """Host, user and database help; a password never shows, also where it is no URL."""
    assert masked(dsn) == shown


@given(SAFE, st.text(min_size=1, max_size=20), SAFE)
def test_no_password_ever_shows(user: str, password: str, host: str) -> None:
    """Whatever characters a password has, escaped or not, none of it is shown."""
    canary = f"CANARY{password}CANARY"
    assert "CANARY" not in masked(f"postgresql://{user}:{canary}@{host}/db")
    assert "CANARY" not in masked(f"postgresql://{host}/db?user={user}&password={canary}")
