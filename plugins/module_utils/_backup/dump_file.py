# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that was made elsewhere, by pg_dump in any format that is one file: what it is, told by its content."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import Script
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, advice

HEAD = 1 << 16  # bytes that tell what it is
_GZIP, _ARCHIVE = b"\x1f\x8b", b"PGDMP"
_OTHERS = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\3\4": "zip",
}
_FROM = re.compile(rb"^-- Dumped from database version (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class DumpFile:
    """What the head of a file tells. ``kind`` is sql, custom or tar; ``version`` of the server is '' when not told."""

    name: str
    size: int
    kind: str
    compressed: bool
    version: str = ""

    @property
    def major(self) -> int:
        found = re.match(r"\d+", self.version)
        return int(found[0]) if found else 0

    @property
    def shown(self) -> str:
        """In words: ``an archive of pg_dump (custom format, gzip)``."""
        kind = "a plain dump" if self.kind == "sql" else f"an archive of pg_dump ({self.kind} format)"
        return f"{kind}{', gzip,' if self.compressed else ''}{f' of PostgreSQL {self.version}' if self.version else ''}"

    def insist_on(self, server_version: str, server_major: int) -> None:
        """Raise SlipwayError when it is of a newer major version than the server."""
        if self.major > server_major:
            raise SlipwayError(
                f"{self.name} is of PostgreSQL {self.version} and can't be restored on {server_version}: restore it on "
                "a server of at least its version; nothing was changed."
            )


@dataclass
class Contents:
    """What a plain dump holds, as far as it can be told without a server."""

    tables: list[str] = field(default_factory=list)
    rows: int = 0  # of COPY and INSERT
    extensions: list[str] = field(default_factory=list)
    statements: int = 0


@contextlib.contextmanager
def opened(path: Path, name: str) -> Iterator[tuple[DumpFile, IO[bytes]]]:
    """A file and its content, decompressed; what is wrong with it becomes a SlipwayError that calls it ``name``."""
    with reading(name), path.open("rb") as raw:
        size = path.stat().st_size
        compressed = raw.read(2) == _GZIP
        raw.seek(0)
        stream: IO[bytes] = io.BufferedReader(gzip.GzipFile(fileobj=raw), HEAD) if compressed else raw
        head = _head(stream)
        found = recognise(head, name, size, compressed)
        stream.seek(0)
        if found.kind == "tar":
            _insist_on_whole(stream, found)
            stream.seek(0)
        yield found, stream


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what a file's reading raises into a sentence."""
    try:
        yield
    except EOFError as error:
        raise SlipwayError(
            f"{name} was cut off: its compressed content has no end, so it can't be restored and nothing was changed: "
            "bring a whole copy."
        ) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise SlipwayError(
            f"{name} is damaged ({error}), so it can't be restored and nothing was changed: bring a whole copy."
        ) from error
    except OSError as error:
        raise SlipwayError(f"Can't read {name}: {error.strerror or error}; {advice(error)}.") from error


def _insist_on_whole(stream: IO[bytes], tar: DumpFile) -> None:
    """pg_restore reads on for ever where a tar archive was cut off. Two blocks of zeros are its end (ustar(5))."""
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            end = max((member.offset_data + -(-member.size // 512) * 512 for member in archive), default=0)
        stream.seek(end)
        whole = len(stream.read(1024)) == 1024
    except tarfile.TarError:
        whole = False
    if not whole:
        raise SlipwayError(
            f"{tar.name} was cut off, so it can't be restored and nothing was changed: bring a whole copy."
        )


def _head(stream: IO[bytes]) -> bytes:
    head = b""
    while len(head) < HEAD:
        more = stream.read(HEAD - len(head))
        if not more:
            break
        head += more
    return head


def recognise(head: bytes, name: str, size: int, compressed: bool = False) -> DumpFile:
    """What a file is by its first bytes, which are decompressed; SlipwayError when it is no dump that can be read."""
    if not head.strip():
        raise SlipwayError(f"{name} is empty: bring a whole copy; nothing was changed.")
    if head.startswith(_ARCHIVE):
        return DumpFile(name, size, "custom", compressed, _archived_version(head))
    if head[257:262] == b"ustar":
        if head[:8] != b"toc.dat\0":
            raise SlipwayError(
                f"{name} is an archive of files, not a dump: unpack it and name the dump in it; nothing was changed."
            )
        return DumpFile(name, size, "tar", compressed, _archived_version(head[512:]))
    other = next((tool for magic, tool in _OTHERS.items() if head.startswith(magic)), "")
    if other:
        raise SlipwayError(f"{name} is compressed by {other}: decompress it first; nothing was changed.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SlipwayError(
            f"{name} is in UTF-16, as PowerShell's > writes it: dump with pg_dump --file, or convert it to UTF-8; "
            "nothing was changed."
        )
    if b"\0" in head:
        raise SlipwayError(
            f"{name} is no dump: it is neither SQL nor an archive of pg_dump, plain or compressed by gzip; nothing was "
            "changed."
        )
    found = _FROM.search(head)
    return DumpFile(name, size, "sql", compressed, found[1].decode(errors="replace") if found else "")


def _archived_version(head: bytes) -> str:
    """The server's version in the header of an archive (pg_backup_archiver.c, ReadHead); '' when it can't be read."""
    stream = io.BytesIO(head[len(_ARCHIVE) :])
    major, minor, _, width, _, _ = stream.read(6)

    def number() -> int:
        sign = stream.read(1)
        return int.from_bytes(stream.read(width), "little") * (-1 if sign == b"\1" else 1)

    if (major, minor) >= (1, 15):
        stream.read(1)
    else:
        number()
    for _ in range(7):  # when it was made
        number()
    stream.read(max(0, number()))  # the database's name
    version = stream.read(max(0, min(number(), 100))).decode(errors="replace")
    return version if re.match(r"\d+", version) else ""


def read_through(script: Script) -> Contents:
    """Read a plain dump to its end; SlipwayError where it was cut off or has what must not be run."""
    found = Contents()
    with reading(script.name):
        for statement in script:
            found.statements += 1
            if statement.table:
                found.tables.append(statement.table)
            if statement.extension:
                found.extensions.append(statement.extension[0])
            if statement.rows:
                statement.rows.skip()
                found.rows += statement.rows.count
            elif re.match(rb"INSERT\b", statement.text, re.IGNORECASE):
                found.rows += 1
    return found
