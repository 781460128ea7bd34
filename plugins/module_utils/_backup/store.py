# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of backups: who writes to it, what lies in it, what is removed from it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup import manifest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, advice
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist
from ansible_collections.slipway.deploy.plugins.module_utils._text import human

PARTIAL = ".partial"


@dataclass(frozen=True)
class Entry:
    """One manifest of the directory, or why it can't be read."""

    name: str
    manifest: Manifest | None
    problem: str = ""


@contextlib.contextmanager
def file_errors(directory: Path) -> Iterator[None]:
    """Turn an error of the file system into a sentence with the path and what to do."""
    try:
        yield
    except OSError as error:
        raise SlipwayError(f"Can't use {error.filename or directory}: {error.strerror}; {advice(error)}.") from error


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create the directory (0700) where it is missing and keep other runs out of it; the lock dies with the process."""
    with file_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SlipwayError(
                f"Another backup or restore is at work in {directory}: run again when it has ended."
            ) from error
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that only its owner may read (0600), on the disk when the block ends, and gone when the block fails."""
    with file_errors(path.parent):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as opened:
                yield opened
                opened.flush()
                os.fsync(opened.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def publish(directory: Path, manifest: Manifest) -> None:
    """Give dump and manifest their final names, the manifest last: only with it the dump is a backup."""
    insist()
    with file_errors(directory):
        partial = directory / f"{manifest.name}.json{PARTIAL}"
        with new_file(partial) as opened:
            opened.write(manifest.text().encode())
        os.rename(directory / f"{manifest.dump}{PARTIAL}", directory / manifest.dump)
        os.rename(partial, directory / f"{manifest.name}.json")
        sync(directory)


def sync(directory: Path) -> None:
    """Make renames and removals in the directory last."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partial(directory: Path) -> list[str]:
    """Remove what a run that was cut short has left behind; its names. Only under the lock."""
    with file_errors(directory):
        left = sorted([*directory.glob(f"*.dump{PARTIAL}"), *directory.glob(f"*.json{PARTIAL}")])
        for path in left:
            path.unlink()
    return [path.name for path in left]


def left_behind(name: str) -> str:
    return f"Removed {name}, which an interrupted run left behind."


def remove(directory: Path, manifest: Manifest) -> None:
    """Remove a backup: the dump first, so that no manifest is missed when this is cut short."""
    insist()
    with file_errors(directory):
        for name in (manifest.dump, f"{manifest.name}.json"):
            with contextlib.suppress(FileNotFoundError):
                (directory / name).unlink()
        sync(directory)


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with file_errors(path.parent), path.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        for block in iter(lambda: opened.read(1 << 20), b""):
            digest.update(block)
            progress.tell("reading the dump", opened.tell(), size, "B")
    return digest.hexdigest()


def entries(directory: Path, verify: bool = False) -> list[Entry]:
    """Every manifest of the directory, oldest first, with the faults of its dump, which ``verify`` reads in full."""
    with file_errors(directory):
        paths = sorted(directory.glob("*.json")) if directory.exists() else []
        return [_entry(path, verify) for path in paths]


def _entry(path: Path, verify: bool) -> Entry:
    try:
        manifest = Manifest.parse(path.stem, path.read_text(encoding="utf-8"))
    except (SlipwayError, UnicodeDecodeError) as error:
        return Entry(path.stem, None, str(error))
    return Entry(path.stem, manifest, damage(path.parent, manifest, verify))


def expected_size(directory: Path, database: str, size: int) -> int:
    """Bytes that a dump of a database of ``size`` bytes is likely to have, by the newest one; 0 without one."""
    with contextlib.suppress(SlipwayError):
        known = [entry.manifest for entry in entries(directory) if entry.manifest]
        for each in reversed(known):
            if each.database == database and each.database_size:
                return size * each.size // each.database_size
    return 0


def choose(directory: Path, found: Iterable[Entry], wanted: str, params: Mapping[str, Any]) -> Manifest:
    """The backup that ``wanted`` names, by the options ``application``, ``environment_name`` and ``from_environment``.

    Raises SlipwayError where there is none that can be restored (see ``manifest.choose``).
    """
    found = list(found)
    return manifest.choose(
        [entry.manifest for entry in found if entry.manifest],
        {entry.name: entry.problem for entry in found if not entry.manifest},
        wanted,
        params["application"],
        params["from_environment"] or params["environment_name"],
        str(directory),
        explicit=bool(params["from_environment"]),
    )


def damage(directory: Path, manifest: Manifest, verify: bool) -> str:
    """What is wrong with a backup's dump, '' when nothing is."""
    path = directory / manifest.dump
    if not path.is_file():
        return f"The dump {manifest.dump} is missing."
    size = path.stat().st_size
    if size != manifest.size:
        return f"The dump {manifest.dump} has {size:,} bytes, its manifest says {manifest.size:,}."
    if verify and checksum(path) != manifest.sha256:
        return f"The dump {manifest.dump} was altered: its SHA-256 is not the one in its manifest."
    return ""


def without_manifest(directory: Path) -> list[str]:
    """Dumps that no manifest vouches for."""
    with file_errors(directory):
        return sorted(path.name for path in directory.glob("*.dump") if not path.with_suffix(".json").exists())


def check_space(directory: Path, needed: int, data_directory: str, needed_there: int, free_there: int | None) -> None:
    """Raise SlipwayError unless ``needed`` bytes are free in the directory, and ``needed_there`` at the server's data.

    ``free_there`` is what is free at the server's data, None when that is not known.
    """
    with file_errors(directory):
        place = next(path for path in (directory, *directory.parents) if path.exists())
        about = os.statvfs(place)
        one_file_system = os.path.isdir(data_directory) and os.stat(data_directory).st_dev == os.stat(place).st_dev
    if free_there is not None and one_file_system:
        needed += needed_there
    for where, free, want in (
        (str(directory), about.f_bavail * about.f_frsize, needed),
        (data_directory, free_there, needed_there),
    ):
        if free is not None and free < want:
            raise SlipwayError(
                f"{human(free)} are free in {where}, but {human(want)} are wanted to dump and restore: free "
                "some space, name another directory, or lower space_factor."
            )
