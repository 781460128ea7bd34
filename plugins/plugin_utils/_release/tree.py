# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of the controller as a deterministic archive, named by a digest of what is in it.

The digest covers paths, contents, links and the executable bit: not times, owners or other mode bits, so that two
clones of the same commit agree. Empty directories do not count, as in git.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

# Never part of a release; a `.dockerignore` can take one back with `!`.
JUNK = (
    "**/.git", "**/.venv", "**/__pycache__", "**/*.pyc", "**/.pytest_cache", "**/.mypy_cache", "**/.ruff_cache",
    "**/.hypothesis", "**/.DS_Store",
)  # fmt: skip
# What holds secrets by its name, whatever a `.dockerignore` says. Nobody misses the first ones, so they go unmentioned.
USUAL = ("**/.git", "**/.venv", "**/.slipway", "**/.env", "**/.vault_pass*", "**/.vault-pass*")
SECRET_NAMES = (
    "**/.env*", "**/vault.y*ml", "**/*.vault", "**/*vault_pass*", "**/*vault-pass*", "**/secrets.json", "**/.pgpass",
    "**/.netrc", "**/.ssh", "**/.aws", "**/id_rsa", "**/id_ecdsa", "**/id_ed25519", "**/*.key", "**/*.p12", "**/*.pfx",
    "**/*.jks",
)  # fmt: skip
VAULT_HEADER = b"$ANSIBLE_VAULT;"
# A key itself (RFC 7468), also in a JSON string: not a program that only speaks of one.
PRIVATE_KEY = re.compile(
    rb"(?:^[ \t]*|: ?[\"'])-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\[rn]|\s)+(?:[A-Za-z0-9+/=]{16}|Proc-Type:)",
    re.MULTILINE,
)
LARGEST_KEY_FILE = 2**20  # bytes; what is larger is not searched for a key
TAG_LENGTH = 12


@dataclass(frozen=True, order=True)
class Entry:
    """One file or link: ``path`` in the archive with ``/``, ``source`` on the controller, ``target`` of a link."""

    path: str
    source: Path
    executable: bool = False
    target: str | None = None


@dataclass(frozen=True)
class Pattern:
    """One line of a ``.dockerignore``: the last line that matches a path, or a directory above it, decides."""

    expression: re.Pattern[str]
    excludes: bool

    @classmethod
    def parse(cls, line: str) -> Pattern:
        """Translate ``*`` (within a name), ``?``, ``[...]``, ``**`` (any number of directories); ``!`` takes back."""
        excludes = not line.startswith("!")
        text = line.removeprefix("!").strip().removeprefix("./").strip("/")
        expression = ""
        for token in re.findall(r"\*\*/|\*\*|\*|\?|\[[^]]+\]|.", text):
            if token == "**/":
                expression += "(?:.*/)?"
            elif token == "**":
                expression += ".*"
            elif token == "*":
                expression += "[^/]*"
            elif token == "?":
                expression += "[^/]"
            elif len(token) > 2:
                expression += token
            else:
                expression += re.escape(token)
        return cls(re.compile(f"(?:{expression})(?:/.*)?", re.DOTALL), excludes)


def patterns(lines: Iterable[str]) -> list[Pattern]:
    """The junk that is always left out, then these lines of a ``.dockerignore`` but for comments and blank ones."""
    given = [line.strip() for line in lines]
    return [Pattern.parse(line) for line in [*JUNK, *given] if line and not line.startswith("#")]


def excluded(path: str, ignore: Sequence[Pattern]) -> bool:
    """Whether the last pattern that matches ``path`` leaves it out."""
    return next((item.excludes for item in reversed(ignore) if item.expression.fullmatch(path)), False)


@dataclass(frozen=True)
class Tree:
    """The files of a release, and the paths that were withheld since they look like secrets."""

    root: Path
    entries: list[Entry]
    withheld: list[str]

    @property
    def warning(self) -> str:
        """What was withheld beyond what nobody expects in a release, in a sentence; '' for nothing."""
        unusual = [path for path in self.withheld if not excluded(path, _USUAL)]
        shown = unusual[:10] + ([f"{len(unusual) - 10} more"] if len(unusual) > 10 else [])
        if not unusual:
            return ""
        return (
            f"Left out of {self.root}, since they look like secrets: {', '.join(shown)}. To make one part of the "
            "release on purpose, name it in app_include."
        )


def read(
    root: Path,
    extra_files: Mapping[str, Path] | None = None,
    include: Iterable[str] = (),
    private: Iterable[Path] = (),
) -> Tree:
    """The files below ``root`` that its ``.dockerignore`` leaves in, with ``extra_files`` put in or over, by path.

    What looks like a secret, by its name or content, is left out unless a pattern of ``include`` names it; the
    ``private`` files and directories are always left out.

    Raises SlipwayError for a missing directory or extra file, an empty tree, and what is neither file nor link.
    """
    if not root.is_dir():
        raise SlipwayError(f"{root} is not a directory on the controller: name the directory that holds the release.")
    ignore_file = root / ".dockerignore"
    ignore = patterns(ignore_file.read_text(encoding="utf-8").splitlines() if ignore_file.is_file() else [])
    withheld: list[str] = []
    top = root.resolve()
    inside = [path.resolve().relative_to(top).as_posix() for path in private if top in path.resolve().parents]
    rules = _Rules(ignore, [Pattern.parse(line) for line in include], frozenset(inside))
    found = {entry.path: entry for entry in _walk(root, rules, withheld)}
    found.pop(".dockerignore", None)  # has done its work; the engine would apply it to the extra files too
    for path, source in (extra_files or {}).items():
        if not source.is_file():
            raise SlipwayError(
                f"{source}, wanted as {path} in {root}, is not a file on the controller: correct its path."
            )
        found[path] = Entry(path, source)
    if not found:
        raise SlipwayError(f"{root} holds no file that belongs to a release: name another directory.")
    return Tree(root, sorted(found.values()), sorted(withheld))


_USUAL = [Pattern.parse(line) for line in USUAL]
_SECRETS = [Pattern.parse(line) for line in (*USUAL, *SECRET_NAMES)]


@dataclass(frozen=True)
class _Rules:
    """What of a tree belongs to a release, by its path."""

    ignore: Sequence[Pattern]
    include: Sequence[Pattern]
    private: frozenset[str]

    def dropped(self, path: str) -> bool:
        """Left out without a word."""
        return path in self.private or excluded(path, self.ignore)

    def secret(self, path: str) -> bool:
        """Withheld for its name, and nobody named it on purpose."""
        return excluded(path, _SECRETS) and not excluded(path, self.include)

    def enters(self, path: str) -> bool:
        """Whether anything below this directory can be part of the release."""
        if path in self.private or (excluded(path, _SECRETS) and not self.include):
            return False
        # A `!` may take back something in a directory that is left out.
        return not (excluded(path, self.ignore) and all(item.excludes for item in self.ignore))


def _walk(root: Path, rules: _Rules, withheld: list[str]) -> Iterator[Entry]:
    for directory, names, files in os.walk(root):
        here = Path(directory)
        paths = {name: (here / name).relative_to(root).as_posix() for name in (*names, *files)}
        links = [name for name in names if (here / name).is_symlink()]
        closed = [name for name in names if not rules.enters(paths[name]) and name not in links]
        withheld += [paths[name] for name in closed if not rules.dropped(paths[name])]
        names[:] = [name for name in names if name not in closed]
        for name in (*files, *links):
            source, path = here / name, paths[name]
            if rules.dropped(path):
                continue
            mode = source.lstat().st_mode
            if rules.secret(path) or (
                stat.S_ISREG(mode) and holds_secret(source) and not excluded(path, rules.include)
            ):
                withheld.append(path)
            elif stat.S_ISLNK(mode):
                yield Entry(path, source, target=os.readlink(source))
            elif stat.S_ISREG(mode):
                yield Entry(path, source, executable=bool(mode & stat.S_IXUSR))
            else:
                raise SlipwayError(f"{source} is neither a file, a directory nor a link: remove it, or ignore it.")


def holds_secret(file: Path) -> bool:
    """Whether the file's content is a vault of Ansible's or has a private key in it."""
    with file.open("rb") as opened:
        content = opened.read(LARGEST_KEY_FILE + 1)
    if content.startswith(VAULT_HEADER):
        return True
    return len(content) <= LARGEST_KEY_FILE and b"PRIVATE KEY-----" in content and bool(PRIVATE_KEY.search(content))


def digest(tree: Iterable[Entry], **inputs: object) -> str:
    """SHA-256, in hex, of the entries and of what else decides the outcome (``inputs``, JSON-able)."""
    total = hashlib.sha256(b"slipway tree 1\n")
    total.update(json.dumps(inputs, sort_keys=True).encode() + b"\n")
    for entry in tree:
        if entry.target is not None:
            kind, content = "link", hashlib.sha256(os.fsencode(entry.target)).hexdigest()
        else:
            with entry.source.open("rb") as file:
                kind, content = "program" if entry.executable else "file", _sha256(file)
        total.update(b"%s %s %s\0" % (kind.encode(), content.encode(), os.fsencode(entry.path)))
    return total.hexdigest()


def _sha256(file: IO[bytes]) -> str:
    # Any file object with readinto or read will do at run time; typeshed asks for more than it needs.
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def write_archive(tree: Iterable[Entry], output: IO[bytes]) -> None:
    """Write a gzipped tar of the entries: the same entries give the same bytes."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=output, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for entry in tree:
            info = tarfile.TarInfo(entry.path)
            info.mode = 0o755 if entry.executable else 0o644
            if entry.target is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
                archive.addfile(info)
                continue
            with entry.source.open("rb") as file:
                info.size = os.fstat(file.fileno()).st_size
                archive.addfile(info, file)
