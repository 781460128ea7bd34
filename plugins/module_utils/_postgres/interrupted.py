# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends what a run that was killed left on a server, in whatever comes next, also where that only looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases, throwaway
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import own
from ansible_collections.slipway.deploy.plugins.module_utils._run.idle import idle
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Run

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

INTERRUPTED_SPEC: dict[str, dict[str, Any]] = {
    "interrupted": {
        "type": "dict",
        "options": {
            **CONNECTION_SPEC,
            "maintenance_db": {"type": "str", "default": "postgres"},
            "directory": {"type": "path", "required": True},
            "backup_directory": {"type": "path"},
            # From the action plugin.
            "_dead": {"type": "dict"},
        },
    }
}
# Nobody who looks waits for long.
BOUNDS = {"lock_timeout": "10s", "statement_timeout": "30s"}


@dataclass(frozen=True)
class Ended:
    """What was done, or would be done in check mode; or whose run, not known to be dead, it may be that is at work."""

    actions: list[str] = field(default_factory=list)
    holder: Run | None = None


def end(params: Mapping[str, Any] | None, check_mode: bool) -> Ended:
    """Open the database where a swap was cut short, and drop Slipway's copies of it, unless a run is at work.

    ``params`` are those of the option ``interrupted``; without them, and within a run, which sees to that itself,
    nothing is done. Never raises: what can't be reached or done is for the next run that writes.
    """
    if not params or own():
        return Ended()
    server, directory = Server.from_params(params), Path(params["directory"])
    if not os.path.exists(directory / "fence"):
        return Ended()  # no run was ever here, or its directory is another user's
    try:
        with sql_errors("It"), autocommit(server.on(params["maintenance_db"]), **BOUNDS) as cursor:
            own_server = Path(params["backup_directory"]) if params["backup_directory"] else None
            serves = own_server is not None and throwaway.exists(own_server)
            if not (
                serves or databases.leftovers(cursor, server.database) or databases.closed(cursor, server.database)
            ):
                return Ended()
            dead = Run(**params["_dead"]) if params["_dead"] else None
            with idle(directory, dead) as (alone, holder):
                if not alone:
                    return Ended(holder=holder)
                actions = databases.recover(cursor, server.database, check_mode=check_mode)
                if own_server:
                    actions += throwaway.removed(own_server, check_mode=check_mode)
                if check_mode:
                    names = databases.leftovers(cursor, server.database)
                    return Ended(actions + [databases.left_behind(name, "Would drop") for name in names])
                return Ended(actions + databases.drop_leftovers(cursor, server.database))
    except (SlipwayError, OSError):
        return Ended()


def ending(work: Callable[[AnsibleModule], dict[str, Any]]) -> Callable[[AnsibleModule], dict[str, Any]]:
    """A module's work, before which that is ended (see ``INTERRUPTED_SPEC``), and told in warnings.

    The result says whose run it may be (``left_by``) where that is not known to be dead: its controller may know.
    """

    def both(module: AnsibleModule) -> dict[str, Any]:
        ended = end(module.params["interrupted"], module.check_mode)
        for action in ended.actions:
            module.warn(action)
        result = work(module)
        if ended.actions:
            result["changed"] = True
        if ended.holder:
            result["left_by"] = asdict(ended.holder)
        return result

    return both
