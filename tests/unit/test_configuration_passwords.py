"""No password of a URL is shown, however it was spelled."""

from __future__ import annotations

import pytest

from vmcatcher.configuration import without_userinfo


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://user:secret@host:80/x", "http://***@host:80/x"),
        ("user:secret@host:3128", "***@host:3128"),
        ("//user:secret@host", "//***@host"),
        ("http:user:secret@host", "***@host"),
        ("a:secret@b http://c:secret@d", "***@b http://***@d"),
        ("mail someone@host", "mail someone@host"),
        ("/srv/10:20 x@y", "/srv/10:20 x@y"),
    ],
)
def test_text_is_shown_without_user_names_and_passwords(given: str, shown: str):
    assert without_userinfo(given) == shown
