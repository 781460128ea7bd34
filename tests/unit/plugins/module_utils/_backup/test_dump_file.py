# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump is known by its content, and what is no dump by its content too."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.dump_file import opened, read_through, recognise
from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import Script
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

PLAIN = b"--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 16.14 (Debian 1)\nSELECT 1;\n"


def header(version: bytes, minor: int) -> bytes:
    """The head of an archive: widths of 4 and 8 bytes, no compression, a date, the database's name."""

    def number(value: int) -> bytes:
        return b"\0" + value.to_bytes(4, "little")

    def text(value: bytes) -> bytes:
        return number(len(value)) + value

    compression = b"\0" if minor >= 15 else number(0)
    return b"PGDMP\1" + bytes([minor]) + b"\0\4\x08\1" + compression + number(1) * 7 + text(b"shop") + text(version)


@pytest.mark.parametrize("minor", [14, 15, 16])
def test_archives(minor: int) -> None:
    found = recognise(header(b"17.2", minor) + b"\0" * 100, "a", 1)
    assert (found.kind, found.version, found.major) == ("custom", "17.2", 17)


def test_plain(tmp_path: Path) -> None:
    for name, content in (("a.dump", PLAIN), ("b", gzip.compress(PLAIN))):
        path = tmp_path / name
        path.write_bytes(content)
        with opened(path, name) as (found, stream):
            assert (found.kind, found.compressed, found.version) == ("sql", name == "b", "16.14")
            assert stream.read() == PLAIN


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "x is empty: bring a whole copy; nothing was changed."),
        (b"\n\n", "x is empty: bring a whole copy; nothing was changed."),
        (b"\x7fELF\0\0", "x is no dump: it is neither SQL nor an archive of pg_dump, plain or compressed by gzip; "
         "nothing was changed."),
        ("SELECT 1;".encode("utf-16"), "x is in UTF-16, as PowerShell's > writes it: dump with pg_dump --file, or "
         "convert it to UTF-8; nothing was changed."),
        (b"BZh91AY", "x is compressed by bzip2: decompress it first; nothing was changed."),
        (b"a.txt" + b"\0" * 252 + b"ustar", "x is an archive of files, not a dump: unpack it and name the dump in it; "
         "nothing was changed."),
    ],
)  # fmt: skip
def test_what_is_no_dump(tmp_path: Path, content: bytes, error: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SlipwayError) as raised, opened(tmp_path / "x", "x"):
        pass
    assert str(raised.value) == error


@pytest.mark.parametrize(("damage", "error"), [("cut", "x was cut off: its compressed"), ("flip", "x is damaged (")])
def test_a_damaged_gzip(tmp_path: Path, damage: str, error: str) -> None:
    body = "".join(f"SELECT {random.Random(number).random()};\n" for number in range(20_000)).encode()
    content = bytearray(gzip.compress(body))
    if damage == "cut":
        del content[-500:]
    else:
        content[-8] ^= 1
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SlipwayError) as raised, opened(tmp_path / "x", "x") as (_, stream):
        read_through(Script(stream, "x"))
    assert str(raised.value).startswith(error)


def test_a_newer_version_is_refused() -> None:
    found = recognise(PLAIN.replace(b"16.14", b"18.1"), "x", 1)
    found.insist_on("18.4", 18)
    with pytest.raises(SlipwayError) as raised:
        found.insist_on("16.14", 16)
    assert str(raised.value) == (
        "x is of PostgreSQL 18.1 and can't be restored on 16.14: restore it on a server of at least its version; "
        "nothing was changed."
    )
    recognise(b"SELECT 1;", "x", 1).insist_on("16.14", 16)


def test_what_a_plain_dump_holds() -> None:
    text = b"""CREATE TABLE public."a b" (x int);
COPY a FROM stdin;
1
2
\\.
INSERT INTO a VALUES (3);
CREATE EXTENSION v;
"""
    found = read_through(Script(text.splitlines(keepends=True), "x"))
    assert (found.tables, found.rows, found.extensions) == (['public."a b"'], 3, ["v"])
