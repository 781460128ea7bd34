# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: how a database differs from what its migrations make, or from what it was when that was last recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._drift.exclusions import without_environment
from ansible_collections.slipway.deploy.plugins.module_utils._drift.replay import replayed
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import applied
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    LOGIN_SPEC,
    Server,
    one_row,
    working,
)
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.snapshot import load, store, take


@dataclass(frozen=True)
class Difference:
    """An object that is not as it should be: ``expected`` or ``found`` is None where it is not there at all."""

    object: str
    expected: str | None
    found: str | None

    def __str__(self) -> str:
        if self.expected is None:
            return f"{self.object} was added by hand: {self.found}".rstrip(": ")
        if self.found is None:
            return f"{self.object} is missing: {self.expected}".rstrip(": ")
        return f"{self.object} was changed by hand: {self.found}, not {self.expected}"

    def result(self) -> dict[str, Any]:
        """The difference as a module returns it."""
        return asdict(self)


def compare(expected: Catalogue, found: Catalogue) -> list[Difference]:
    """Every object of two catalogues that is not the same in both, in the order of their names."""
    names = sorted({**expected, **found})
    return [
        Difference(name, expected.get(name), found.get(name)) for name in names if expected.get(name) != found.get(name)
    ]


REPLAY_SPEC = {"replay_login": LOGIN_SPEC}


@dataclass(frozen=True)
class Comparison:
    """A database, the role that may make a scratch database beside it, and whether that may be done now."""

    server: Server
    creator: Server
    may_write: bool = True

    @classmethod
    def from_params(cls, params: Mapping[str, Any], server: Server, check_mode: bool) -> Comparison:
        """Take it out of a module's parameters (see ``REPLAY_SPEC``)."""
        return cls(server, server.by(params["replay_login"]), not check_mode)

    def differences(self, files: Files, against: str) -> tuple[str, list[Difference]]:
        """Compare with a ``replay``, a ``snapshot``, or the one that is possible.

        ``auto`` tries the replay first, ``quick`` the snapshot.
        Returns which it was, and the differences. Raises SlipwayError where none can be done.
        """
        ways = {"auto": ("replay", "snapshot"), "quick": ("snapshot", "replay")}.get(against, (against,))
        refused: list[str] = []
        for way in ways:
            try:
                return way, self._by_replay(files) if way == "replay" else by_snapshot(self.server, files.schema)
            except SlipwayError as error:
                refused.append(str(error))
        raise SlipwayError(" ".join(refused))

    def _by_replay(self, files: Files) -> list[Difference]:
        if not self.may_write:
            raise SlipwayError("A replay makes a scratch database, which check mode does not.")
        return by_replay(self.server, files, self.creator)


def by_replay(server: Server, files: Files, creator: Server | None = None) -> list[Difference]:
    """Compare with a scratch database, which ``creator`` may make, in which the applied migrations are applied again.

    What differs because migrations went by the rows that were there is none: it is as the snapshot has it that was
    taken right after them, where that is of this history. Raises SlipwayError where no replay is possible.
    """
    with working(server, files.schema) as cursor:
        plan = files.compare(cursor)[0]
        expected = replayed(cursor, server, creator or server, files, plan)
        cursor.execute("SELECT current_user::regrole::text")
        owner = one_row(cursor)[0]
        kept, now = load(cursor), take(cursor, applied(cursor, files.schema))
    found = compare(expected, without_environment(now.catalogue, owner))
    if kept is None or not kept.comparable(now) or kept.migrations != now.migrations:
        return found  # what the history says since then may not be what was done
    theirs = {name for name in kept.made if kept.catalogue.get(name) == now.catalogue.get(name)}
    return [each for each in found if each.object not in theirs]


def by_snapshot(server: Server, schema: str) -> list[Difference]:
    """Compare with what was recorded. Raises SlipwayError where nothing was, or migrations were applied since."""
    with working(server, schema, default_transaction_read_only="on") as cursor:
        kept, now = load(cursor), take(cursor, applied(cursor, schema))
    if kept is None:
        raise SlipwayError("No snapshot of the schema was recorded yet: record one (state: recorded), then compare.")
    if not kept.comparable(now):
        raise SlipwayError(
            "The snapshot of the schema was recorded by another version of Slipway or PostgreSQL: when the database is "
            "as it should be, record it anew (state: recorded)."
        )
    changed = sorted(kept.migrations ^ now.migrations)
    if changed:
        raise SlipwayError(
            f"The snapshot of the schema was recorded before the history changed ({changed[0]!r}): when the database "
            "is as it should be, record it anew (state: recorded)."
        )
    return compare(kept.catalogue, now.catalogue)


def record(server: Server, schema: str, check: bool) -> bool:
    """Keep the schema as it is now, unless that is what is kept already; return whether there is a change."""
    with working(server, schema) as cursor:
        kept, now = load(cursor), take(cursor, applied(cursor, schema))
        now = replace(now, made=kept.made if kept and kept.comparable(now) else now.made)
        if kept != now and not check:
            store(cursor, now)
    return kept != now
