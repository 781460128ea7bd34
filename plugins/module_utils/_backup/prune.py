# SPDX-License-Identifier: GPL-3.0-or-later
"""Which older backups are removed once a new one is proved, and how many stay."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest


def to_prune(
    manifests: Iterable[Manifest], newest: Manifest, keep: int, keep_days: int = 0
) -> list[tuple[Manifest, str]]:
    """Backups that are no longer needed, each with the reason, newest first.

    ``manifests`` are the whole ones, ``newest`` the one that was just proved, whose application, environment and
    database are meant. An older one of the same content and release goes, so that retries of a failed deploy push
    nothing out; then those beyond the ``keep`` newest that are older than ``keep_days`` days. With a ``keep`` of 0 all
    stay.
    """
    if not keep:
        return []
    identity = (newest.application, newest.environment, newest.database)
    same = [m for m in manifests if m.proved and (m.application, m.environment, m.database) == identity]
    limit = _moment(newest) - datetime.timedelta(days=keep_days)
    found: list[tuple[Manifest, str]] = []
    keepers: dict[tuple[str, str], str] = {}
    kept = 0
    for each in sorted({m.name: m for m in [*same, newest]}.values(), key=_moment, reverse=True):
        keeper = keepers.setdefault((each.content, each.release), each.name) if each.content else each.name
        if keeper != each.name:
            found.append((each, f"{keeper} holds the same"))
            continue
        kept += 1
        if kept > keep and _moment(each) <= limit and each is not newest:
            found.append((each, f"the newest {keep} are kept" + (f", and {keep_days} days" if keep_days else "")))
    return found


def _moment(manifest: Manifest) -> datetime.datetime:
    return datetime.datetime.fromisoformat(manifest.started)
