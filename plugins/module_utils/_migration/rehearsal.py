# SPDX-License-Identifier: GPL-3.0-or-later
"""How far scripts can be run in a copy of a database without an effect on the server that it shares with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script


@dataclass(frozen=True)
class Extent:
    """Of scripts in their order: the first ``kept`` are committed, the next ``rolled_back`` run in a transaction that
    is rolled back, since the first of them changes more than the copy (``why``). The others do not run, for the reason
    that ``stop`` is, a phrase; without others it is that of one that turns out not to run in that transaction.
    """

    kept: int
    rolled_back: int = 0
    why: str = ""
    stop: str = ""


_SHARES_NOT = "can't share the transaction in which it would be rolled back"


def extent(scripts: Sequence[Script | None]) -> Extent:
    """How far scripts can be run; None is one that can't be run anywhere and says so itself."""
    kept = next(
        (number for number, script in enumerate(scripts) if script and script.effects_outside_database), len(scripts)
    )
    why = ""
    for number, script in enumerate(scripts[kept:], kept):
        stop = _obstacle(script) if script else ""
        if stop:
            return Extent(kept, number - kept, why, stop)
        why = why or (script.effects_outside_database[0].what if script and script.effects_outside_database else "")
    return Extent(kept, len(scripts) - kept, why, _SHARES_NOT)


def _obstacle(script: Script) -> str:
    """Why a script can't run in a transaction that is rolled back; empty when it can."""
    lasting = next((reach.what for reach in script.effects_outside_database if not reach.transactional), "")
    if lasting:
        return f"{lasting}, for the whole server and not only for a copy"
    if any(statement.transaction in ("alone", "rollback") for statement in script.statements):
        return _SHARES_NOT
    return ""


def not_rehearsed(subject: str, stop: str) -> str:
    """The sentence about the script that a rehearsal stops before."""
    return f"{subject} {stop}: it was not rehearsed, nor was what comes after it."
