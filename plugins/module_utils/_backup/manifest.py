# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup is: its name, its manifest, and which one is meant.

A backup is two files, ``<name>.dump`` and ``<name>.json``. The second, the manifest, is written only after the first
has been restored and compared; a dump without a manifest is not a backup.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup.checksums import Checksums
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._text import listed

FORMAT = 2  # since 1 has nothing been taken away: what it did not have is optional
# Kinds whose definitions have expressions in them.
WITH_EXPRESSIONS = (
    "column", "constraint", "function", "index", "policy", "publication", "rule", "statistics object", "table",
    "trigger", "type", "view",
)  # fmt: skip
_NAME = r'(?:"[^"]+"|\w+)'
_TYPE = (
    r"(?:timestamp|time)(?:\(\d+\))? with(?:out)? time zone"
    rf"|character varying|bit varying|double precision|{_NAME}(?:\.{_NAME})*"
)
# What counts in an expression to the last character: constants, quoted names, and the bodies of functions.
_VERBATIM = r"""'[^']*'|"[^"]*"|(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag)"""
_EXPRESSION = re.compile(
    rf"(?P<verbatim>{_VERBATIM})|::(?:{_TYPE})(?:\(\d+(?:,\s*\d+)?\))?(?:\[\])*|[()\s]+", re.DOTALL
)
# Kinds of objects, and how their names begin, that a server has rather than a database, so that another may lack them;
# and those that are data: a dump without rows leaves them out, and which materialised views are filled.
OF_THE_SERVER = (("tablespace of", ""), ("rights on", "system "))
DATA = (("data of", ""), ("large objects of", ""), ("comment", "large object "))


@dataclass(frozen=True)
class SequenceValue:
    """Where a sequence stands; ``called`` is false when ``last`` itself has not been handed out yet."""

    last: int
    called: bool


@dataclass(frozen=True)
class Reading:
    """What a database holds: rows by table, sequences, and every object of its schema with its definition."""

    tables: Mapping[str, int]
    sequences: Mapping[str, SequenceValue]
    objects: Mapping[tuple[str, str], str]  # (kind, name) -> definition
    migrations: tuple[str, ...] = ()
    query: str = ""  # a digest of the one that read the objects
    contents: Mapping[str, Checksums] = field(default_factory=dict)  # by table
    method: str = ""  # of the checksums

    @property
    def rows(self) -> int:
        return sum(self.tables.values())

    @property
    def kinds(self) -> dict[str, int]:
        """How many objects there are of each kind."""
        return dict(sorted(Counter(kind for kind, _ in self.of_the_database).items()))

    @property
    def of_the_database(self) -> dict[tuple[str, str], str]:
        """The objects that are the same on every server that the database is restored on."""
        return without(self.objects, OF_THE_SERVER)

    @property
    def words(self) -> str:
        """In which words the objects are described: two digests are comparable only when these are the same."""
        words = f"{self.query} {_EXPRESSION.pattern} {WITH_EXPRESSIONS}"
        return hashlib.sha256(words.encode()).hexdigest()[:12]

    @property
    def digest(self) -> str:
        """One value for the whole schema, equal when every object and its definition is."""
        lines = sorted(json.dumps([*key, compared(key[0], text)]) for key, text in self.of_the_database.items())
        return f"{self.words}:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


def without(objects: Mapping[tuple[str, str], str], left: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Objects without those of the kinds in ``left`` whose names begin as it says there."""
    return {
        (kind, name): text
        for (kind, name), text in objects.items()
        if not any(kind == other and name.startswith(begin) for other, begin in left)
    }


@dataclass(frozen=True)
class Extension:
    """An extension of a database, the schema that it is in, and the role that it belongs to."""

    name: str
    schema: str
    version: str
    owner: str


@dataclass(frozen=True)
class Manifest:
    """What is known of a proved backup; the content of ``<name>.json``."""

    name: str
    application: str
    environment: str
    database: str
    release: str
    server_version: str
    server_major: int
    system_identifier: str
    started: str  # UTC, ISO 8601
    finished: str
    dump: str
    size: int  # bytes of the dump
    sha256: str
    database_size: int  # bytes
    tables: dict[str, int]
    rows: int
    sequences: dict[str, dict[str, Any]]
    objects: dict[str, int]
    schema_digest: str
    migrations: list[str]
    seconds: dict[str, float]
    proved: bool = True
    content: str = ""  # SHA-256 of the SQL that the dump stands for; '' when it is not known
    roles: list[str] = field(default_factory=list)  # that owners, rights and policies of the database name
    role_definitions: list[str] = field(default_factory=list)  # statements that make them again, without passwords
    wal_position: str = ""  # of the server when the snapshot was taken, as an LSN; '' when it is not known
    extensions: list[dict[str, str]] = field(default_factory=list)
    help: str = ""  # why pg_restore alone could not restore it; '' when it could
    unproved: list[str] = field(default_factory=list)  # objects that the restored copy does not have as the source does
    contents: dict[str, list[str]] = field(default_factory=dict)  # checksums by table; none of a large database
    method: str = ""  # of the checksums
    unprovable: str = ""  # the reason that the operator gave for taking it all the same
    taken_by: str = ""  # "schedule", or '' for a run of an operator
    revision: str = ""  # commit of the release's source, "-dirty" after it where files were changed; '' not known
    format: int = FORMAT

    def text(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, name: str, text: str) -> Manifest:
        """Read a manifest; SlipwayError when it is none, is of an unknown format, or belongs to another name."""
        try:
            found = json.loads(text)
            manifest = cls(**{name: value for name, value in found.items() if name in cls.__dataclass_fields__})
        except (AttributeError, ValueError, TypeError) as error:
            raise SlipwayError(f"The manifest of backup {name!r} can't be read ({error}).") from error
        if not 1 <= manifest.format <= FORMAT:
            raise SlipwayError(
                f"The manifest of backup {name!r} has format {manifest.format}, but this version of Slipway reads "
                f"up to {FORMAT}: use the version that wrote it."
            )
        if manifest.name != name or manifest.dump != f"{name}.dump":
            raise SlipwayError(
                f"The manifest {name}.json describes backup {manifest.name!r}: give both files their own name back."
            )
        return manifest

    @property
    def shown(self) -> str:
        """The name, and what is not proved, in one line."""
        unproved = f" (not proved: {listed(self.unproved)}; reason: {self.unprovable})" if self.unproved else ""
        return self.name + unproved

    @property
    def checksums(self) -> dict[str, Checksums]:
        """The checksums of the contents as the comparison takes them."""
        return {name: (stored, generated) for name, (stored, generated) in self.contents.items()}

    @property
    def sequence_values(self) -> dict[str, SequenceValue]:
        """The sequences as the comparison takes them."""
        return {name: SequenceValue(**value) for name, value in self.sequences.items()}


def backup_name(moment: datetime.datetime, release: str) -> str:
    """``20250806T093012.345Z_1.4.2``: sorts by time, and is a file's name whatever the release is called."""
    stamp = moment.astimezone(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
    safe = re.sub(r"[^A-Za-z0-9._+-]+", "-", release).strip("-.")[:60]
    return f"{stamp}_{safe or 'unnamed'}"


def normalise(definition: str) -> str:
    """A definition without casts, parentheses and white space, but for those in constants, names and functions' bodies.

    What PostgreSQL prints for an expression is not always what it prints again after a restore: ``x IN ('a', 'b')`` on
    a varchar comes back with its casts in other places, though it means the same.
    """
    return _EXPRESSION.sub(lambda found: found["verbatim"] or "", definition)


def compared(kind: str, definition: str) -> str:
    """What of a definition is compared: where no expression is in it, all."""
    return normalise(definition) if kind in WITH_EXPRESSIONS else definition


def notes(manifest: Manifest) -> list[str]:
    """What is to be said of a backup that pg_restore alone can't restore, in sentences."""
    found = []
    if manifest.unproved:
        found.append(f"Not proved, by your leave ({manifest.unprovable}): {listed(manifest.unproved)}.")
    elif manifest.help:
        found.append(
            f"pg_restore alone can't restore it ({manifest.help}), Slipway can: functions were given the database's "
            "search_path, or checks were added after all rows. Let functions have a search_path of their own (ALTER "
            "FUNCTION ... SET search_path = ...), and checks depend on nothing but their row."
        )
    return found


def choose(
    manifests: Iterable[Manifest],
    unreadable: Mapping[str, str],
    wanted: str,
    application: str,
    environment: str,
    directory: str,
    explicit: bool,
) -> Manifest:
    """The backup that ``wanted`` names, or the newest of the application and environment for ``latest``.

    ``unreadable`` says of each damaged manifest, by its name, what is wrong with it: it may be anyone's, so an older
    backup is not taken in its stead. ``explicit`` says that the environment was given as ``from_environment``.
    SlipwayError when there is none, or when the named one belongs to another application or environment.
    """
    known = sorted((m for m in manifests if m.proved), key=lambda m: m.started)
    own = [m for m in known if (m.application, m.environment) == (application, environment)]
    newest = own[-1].name if own else ""
    damaged = max(unreadable, default="") if wanted == "latest" else wanted if wanted in unreadable else ""
    if damaged > newest or wanted == damaged:
        raise SlipwayError(
            f"Backup {damaged!r} in {directory} is damaged: {unreadable[damaged].rstrip('.')}. Nothing was restored: "
            f"bring its manifest back from a copy, or name another backup (the newest whole one: {newest or 'none'})."
        )
    if wanted == "latest":
        if not own:
            raise SlipwayError(
                f"There is no backup of application {application!r}, environment {environment!r} in {directory}: take "
                "one with slipway.deploy.backup, or name the right directory."
            )
        return own[-1]
    named = [m for m in known if m.name == wanted]
    if not named:
        have = ", ".join(m.name for m in own[:-4:-1]) or "none"
        raise SlipwayError(f"There is no backup {wanted!r} in {directory}: choose one that is there (newest: {have}).")
    if named[0] not in own:
        raise SlipwayError(
            f"Backup {wanted!r} is of application {named[0].application!r}, environment {named[0].environment!r}, not "
            f"of {application!r}, {environment!r}: choose another one"
            + ("." if explicit else ", or set from_environment if you mean to take over another environment's data.")
        )
    return named[0]


def age(manifest: Manifest, now: datetime.datetime) -> int:
    """Seconds since the backup's snapshot was taken."""
    return int((now - datetime.datetime.fromisoformat(manifest.started)).total_seconds())
