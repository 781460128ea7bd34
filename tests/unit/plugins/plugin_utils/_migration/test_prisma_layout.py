# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of a directory are migrations, and what is said of those that can't be applied."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read
from hypothesis import given, settings
from hypothesis import strategies as st


def write(directory: Path, name: str, content: bytes | str = b"") -> Path:
    file = directory / name / "migration.sql"
    file.parent.mkdir()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def problem(directory: Path, content: bytes | str) -> str:
    write(directory, "1_a", content)
    (migration,) = read(str(directory), "m").migrations
    return migration.problem


def test_what_counts(tmp_path: Path) -> None:
    write(tmp_path, "20250102_b")
    write(tmp_path, "20250101_a")
    write(tmp_path, ".hidden")
    write(tmp_path, "no time stamp")
    (tmp_path / "20250101_a" / "down.sql").write_text("not read")
    (tmp_path / "a_file").write_text("")
    (tmp_path / "linked").symlink_to(tmp_path / "20250101_a")
    names = [each.name for each in read(str(tmp_path)).migrations]
    assert names == [".hidden", "20250101_a", "20250102_b", "no time stamp"]


def test_a_directory_without_its_file(tmp_path: Path) -> None:
    (tmp_path / "1_a").mkdir()
    (found,) = read(str(tmp_path), "m").migrations
    assert found.checksums == ()
    assert found.problem == (
        "The migration '1_a' has no file m/1_a/migration.sql: restore it from version control, or delete the directory."
    )


def test_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "migration_lock.toml").write_text('provider = "postgresql"\n')
    with pytest.raises(SlipwayError, match=r"^The directory of migrations 'm' holds no migration: put each in a dir"):
        read(str(tmp_path), "m/")


@pytest.mark.parametrize("lock", ['provider = "mysql"', 'provider="postgresql"', "provider = 'postgresql'"])
def test_another_provider(tmp_path: Path, lock: str) -> None:
    write(tmp_path, "1_a")
    (tmp_path / "migration_lock.toml").write_text(f"# a comment\n{lock}\n")
    with pytest.raises(
        SlipwayError, match=r"^m/migration_lock.toml says .*: these migrations are for another database"
    ):
        read(str(tmp_path), "m")


@pytest.mark.parametrize("lock", ['provider = "postgresql"\r\n', "# nothing\n", ' provider = "mysql"', ""])
def test_this_provider(tmp_path: Path, lock: str) -> None:
    write(tmp_path, "1_a")
    (tmp_path / "migration_lock.toml").write_bytes(lock.encode())
    assert len(read(str(tmp_path)).migrations) == 1


PROBLEMS = [
    ("SELECT 1;\nSELEC 2;", 'm/1_a/migration.sql:2:1: syntax error at or near "SELEC"\n2 | SELEC 2;\n  | ^'),
    ("SELECT (\n\n", "m/1_a/migration.sql:1:9: syntax error at end of input\n1 | SELECT (\n  |         ^"),
    ("-- é🙂\n\tSELECT 'é' oops oops", 'm/1_a/migration.sql:2:18: syntax error at or near "oops"\n'
     "2 | \tSELECT 'é' oops oops\n  | \t                ^"),
    ("\\connect x\n", "m/1_a/migration.sql:1:1: \\connect is a command of psql, not SQL: write what it does as SQL\n"
     "1 | \\connect x\n  | ^"),
    ("SELECT format('x') \\gexec", "m/1_a/migration.sql:1:20: \\gexec is a command of psql, not SQL: write what it "
     "does as SQL\n1 | SELECT format('x') \\gexec\n  |                    ^"),
    ("SELECT 1;\nCOPY t (a) FROM stdin;\nAT\tO'Neil; x\n\\N\t\n\\.\nSELECT 2;", "m/1_a/migration.sql:2:1: COPY from or "
     "to the client works only in psql, write INSERT instead\n2 | COPY t (a) FROM stdin;\n  | ^"),
    ("COPY t FROM stdin;\n\\.\n", "m/1_a/migration.sql:1:1: COPY from or to the client works only in psql, write "
     "INSERT instead\n1 | COPY t FROM stdin;\n  | ^"),
    (";; x", 'm/1_a/migration.sql:1:4: syntax error at or near "x"\n1 | ;; x\n  |    ^'),
    ("COPY t FROM stdin;", "m/1_a/migration.sql:1:1: COPY from or to the client works only in psql, write INSERT "
     "instead\n1 | COPY t FROM stdin;\n  | ^"),
    ("\ufeffSELECT 1", "m/1_a/migration.sql begins with a byte order mark, which PostgreSQL rejects: save it as UTF-8 "
     "without one."),
    (b"\n-- \xff\xfe", "m/1_a/migration.sql:2: not UTF-8 (byte 0xff): save it as UTF-8."),
    ("SELECT\0 1", "m/1_a/migration.sql:1:7: a NUL byte: the file is not SQL text, replace it by one that is."),
    ("SELECT 1;\nBEGIN; SELECT 1", "m/1_a/migration.sql:2:1: this transaction is never committed, add COMMIT or delete "
     "BEGIN\n2 | BEGIN; SELECT 1\n  | ^"),
    ("BEGIN; ROLLBACK", "m/1_a/migration.sql:1:8: the file ends by undoing its own transaction, write COMMIT or "
     "delete it\n1 | BEGIN; ROLLBACK\n  |        ^"),
    ("BEGIN; PREPARE TRANSACTION 'x'", "m/1_a/migration.sql:1:8: PREPARE TRANSACTION is left to be finished by hand\n"
     "1 | BEGIN; PREPARE TRANSACTION 'x'\n  |        ^"),
    ("DISCARD ALL", "m/1_a/migration.sql:1:1: this gives up the locks that keep other runs away, delete it\n"
     "1 | DISCARD ALL\n  | ^"),
    ("SELECT pg_advisory_unlock_all()", "m/1_a/migration.sql:1:1: this gives up the locks that keep other runs away, "
     "delete it\n1 | SELECT pg_advisory_unlock_all()\n  | ^"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), PROBLEMS)
def test_problems(tmp_path: Path, content: bytes | str, expected: str) -> None:
    assert problem(tmp_path, content) == expected


# As Prisma reads a file: invalid bytes become U+FFFD, one for each longest part of a character; all else is kept.
TEXTS = [
    (b"caf\xe9 x", "caf\ufffd x"),
    (b"\xf0\x9f\x98 x", "\ufffd x"),
    (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    (b"\xc0\xaf", "\ufffd\ufffd"),
    ("\ufeffSELECT 1".encode(), "\ufeffSELECT 1"),
    (b" \n\n", " \n\n"),
    (b"a\0b", "a\0b"),
]


@pytest.mark.parametrize(("content", "text"), TEXTS)
def test_what_is_hashed(tmp_path: Path, content: bytes, text: str) -> None:
    write(tmp_path, "1_a", content)
    (migration,) = read(str(tmp_path)).migrations
    assert migration.checksums[0] == hashlib.sha256(text.encode()).hexdigest()


@settings(deadline=None)  # it writes to a disk that others use, too
@given(st.binary() | st.text().map(lambda text: text.encode(errors="replace")))
def test_any_bytes_are_one_migration_with_a_script_or_a_problem(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), "1_a", content)
        found = read(directory, "m")
    (migration,) = found.migrations
    assert migration.checksums[0] == hashlib.sha256(content.decode(errors="replace").encode()).hexdigest()
    assert bool(migration.problem) != ("1_a" in found.scripts)
    if not migration.problem:
        assert found.scripts["1_a"].text.encode() == content


FINE = [
    "DISCARD TEMP",
    "",
    "-- only a comment",
    ";;",
    "SELECT 1",
    "\\restrict abc\nSELECT 1;\n\n\\unrestrict abc\n",
    "SELECT '\ufffd'",
    "a\r\n"[1:],
]


@pytest.mark.parametrize("content", FINE)
def test_no_problem(tmp_path: Path, content: str) -> None:
    assert problem(tmp_path, content) == ""
