# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads files below a directory on the controller, such that they are of one moment."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

MAX_BYTES = 64 * 1024 * 1024
# What stands for a byte of a file's name that is not UTF-8.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


@contextlib.contextmanager
def opened(path: str, shown: str) -> Iterator[Directory]:
    """The directory of migrations, for a ``with`` block."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise SlipwayError(
            f"There is no directory of migrations {shown!r} on the controller: correct the path or create it."
        ) from error
    except NotADirectoryError as error:
        raise SlipwayError(f"{shown!r} is not a directory: name the directory that holds the migrations.") from error
    except (OSError, ValueError) as error:
        remedy = "allow it" if isinstance(error, PermissionError) else "correct the path"
        reason = error.strerror if isinstance(error, OSError) else error
        raise SlipwayError(f"Can't read the directory of migrations {shown!r}: {reason}; {remedy}.") from error
    try:
        yield Directory(fd, shown)
    finally:
        os.close(fd)


@dataclass
class Directory:
    """An open directory. It stays the same one, whatever is put in its place meanwhile."""

    fd: int
    shown: str
    _read: dict[str, tuple[int, ...] | None] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The names of the directories in it that count as migrations."""
        with os.scandir(self.fd) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in names:
            if len(name) > 255 or _NOT_UTF8.search(name):
                raise SlipwayError(
                    f"The migration's name {name!r} can't be recorded: "
                    "rename the directory to at most 255 characters of valid UTF-8."
                )
        return names

    def content(self, name: str) -> bytes | None:
        """The content of a file in it, or None when there is no such file."""
        shown = f"{self.shown}/{name}"
        try:
            # A pipe is not waited for.
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=self.fd)
            with open(fd, "rb") as file:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(0, "It is not a regular file")
                raw = file.read(found.st_size + 1) if found.st_size <= MAX_BYTES else b""
        except FileNotFoundError:
            self._read[name] = None
            return None
        except OSError as error:
            raise SlipwayError(f"Can't read {shown}: {error.strerror}; make it a file that you can read.") from error
        if found.st_size > MAX_BYTES:
            raise SlipwayError(
                f"{shown} has {found.st_size // 2**20} MiB, more than the {MAX_BYTES // 2**20} MiB that a migration "
                "may have: load bulk data as seed data instead."
            )
        self._read[name] = _identity(found) if len(raw) == found.st_size else ()
        return raw

    def identity(self, name: str) -> tuple[int, ...] | None:
        """What tells a file from a later one of its name; None where there is none."""
        try:
            return _identity(os.stat(name, dir_fd=self.fd))
        except FileNotFoundError:
            return None

    def insist_unchanged(self, path: str, names: list[str]) -> Moment:
        """Raise SlipwayError unless it and all that was read of it is still the same, and still at its path."""
        moment = Moment(_identity(os.fstat(self.fd))[:2], frozenset(names), self._read)
        if not moment.lasts(path):
            raise SlipwayError(
                f"The directory of migrations {self.shown!r} was changed while it was read: "
                "run again when nothing writes to it any more."
            )
        return moment


@dataclass(frozen=True)
class Moment:
    """Which directory it was, the names in it that count, and of each file in it what tells it from a later one."""

    directory: tuple[int, ...]
    names: frozenset[str]
    files: Mapping[str, tuple[int, ...] | None]

    def lasts(self, path: str) -> bool:
        """Whether all of it is the same still."""
        try:
            with opened(path, path) as now:
                return (
                    self.directory == _identity(os.fstat(now.fd))[:2]
                    and self.names == frozenset(now.names())
                    and all(now.identity(name) == read for name, read in self.files.items())
                )
        except (OSError, SlipwayError):
            return False


def _identity(found: os.stat_result) -> tuple[int, ...]:
    """What differs when a file is replaced or written to."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
