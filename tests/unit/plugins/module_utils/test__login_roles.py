# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a stored verifier is a password's."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._login_roles import is_password

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
