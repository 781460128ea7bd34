# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a stored verifier is a password's."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.login_roles import is_password, saslprep

# Of the example in RFC 7677 section 3: user "user", password "pencil"; stored key and server key follow from its salt.
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


@pytest.mark.parametrize(
    ("password", "verifier", "expected"),
    [
        ("pencil", PENCIL, True),
        ("Pencil", PENCIL, False),
        ("", PENCIL, False),
        ("pencil", "md5b3c1a4e3a1c2d4f5a6b7c8d9e0f1a2b3", False),
        ("pencil", "", False),
    ],
)
def test_is_password(password: str, verifier: str, expected: bool) -> None:
    assert is_password(password, verifier) is expected


# Those of RFC 4013 section 3 and of the kinds that its section 2 names; what is not allowed stays as it is.
PREPARED = [
    ("I\u00adX", "IX"),
    ("user", "user"),
    ("USER", "USER"),
    ("\u00aa", "a"),
    ("\u2168", "IX"),
    ("a\x07", "a\x07"),
    ("\u00e9\x07", "\u00e9\x07"),
    ("\u06271", "\u06271"),
    ("\u06271\u0628", "\u06271\u0628"),
    ("Pa\u0308sswort-\ufb01sch-\u21165-\u00adlang", "P\u00e4sswort-fisch-No5-lang"),
    ("a\u00a0b\u3000c", "a b c"),
    ("\u00ad", "\u00ad"),
    ("e\u0340", "e\u0340"),
    ("\U0001f600 e\u0301", "\U0001f600 e\u0301"),
]


@pytest.mark.parametrize(("password", "prepared"), PREPARED)
def test_saslprep(password: str, prepared: str) -> None:
    assert saslprep(password) == prepared
