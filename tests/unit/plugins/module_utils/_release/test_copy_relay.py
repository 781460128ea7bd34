# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever an application asks for, it gets to one database; and what the server refuses is seen."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.copy_relay import (
    Errors,
    Scram,
    by_md5,
    led_to,
)

PROTOCOL = (196608).to_bytes(4, "big")


def startup(**pairs: str) -> bytes:
    body = PROTOCOL + b"".join(f"{name}\0{value}\0".encode() for name, value in pairs.items()) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ({"user": "app", "database": "live"}, {"user": "app", "database": "copy"}),
        ({"user": "app"}, {"user": "app", "database": "copy"}),  # a database of the user's name
        ({"database": "live", "user": "app", "options": ""}, {"database": "copy", "user": "app", "options": ""}),
        ({"user": "app", "replication": "true", "database": "x"}, {"user": "app", "database": "copy"}),
    ],
)
def test_where_it_leads(asked: dict[str, str], got: dict[str, str]) -> None:
    assert led_to(startup(**asked), "copy") == startup(**got)


def message(kind: str, body: bytes) -> bytes:
    return kind.encode() + (len(body) + 4).to_bytes(4, "big") + body


REFUSED = message("E", b"SFEHLER\0VERROR\0C42703\0Mcolumn \xc2\xabx\xc2\xbb is not there\0Dthe row was (secret)\0\0")
FOUND = {"severity": "ERROR", "code": "42703", "message": "column «x» is not there"}


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_an_error_is_seen_in_whatever_pieces_it_comes(size: int) -> None:
    stream = message("R", b"\0\0\0\0") + message("D", b"E" * 300) + REFUSED + message("Z", b"I") + REFUSED
    errors, found = Errors(), []
    for start in range(0, len(stream), size):
        found += errors.feed(stream[start : start + size])
    assert found == [FOUND, FOUND]


def test_scram_is_what_its_standard_says() -> None:
    """The example of RFC 7677, section 3, which has a user's name: PostgreSQL takes that of the startup message."""
    scram = Scram(b"pencil", "rOprNGfwEbeRWgbNEkqO")
    scram._bare = b"n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert scram.final(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    scram.insist(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    for said in (b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"v=", b"e=invalid-proof"):
        with pytest.raises(ValueError, match="does not know the password"):
            scram.insist(said)


def test_md5_is_what_the_manual_says() -> None:
    """Manual, "Message Flow": md5 of the salt after the md5 of password and user."""
    assert by_md5(b"secret", b"app", b"\1\2\3\4") == b"md5911f527656472583a006e7727877b33e"
