# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who hold a lock, or block a session, as the operator reads of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import (
    Blocker,
    Holder,
    watcher_from_params,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        (Holder(7, "prisma", "10.0.0.1", "shop", 61.4), "process 7 (prisma, role shop, from 10.0.0.1, connected for "
                                                        "61 s)"),
        (Holder(7, "", "the local socket", "shop", 0), "process 7 (unnamed application, role shop, from the local "
                                                       "socket)"),
    ],
)  # fmt: skip
def test_holder(holder: Holder, said: str) -> None:
    assert str(holder) == said


@pytest.mark.parametrize(
    ("blocker", "said"),
    [
        (
            Blocker(9, "psql", "idle in transaction", "SELECT 1,\n  2", 12.6, "ada"),
            "process 9 (psql, role ada, idle in transaction for 13 s: SELECT 1, 2)",
        ),
        (
            Blocker(9, "", "active", "VACUUM", 3, "ada"),
            "process 9 (unnamed application, role ada, active for 3 s: VACUUM)",
        ),
        (Blocker(9, "", "", "", 0, "ada"), "process 9 (a session of role ada that this role may not look into)"),
        (Blocker(9, "", "", "", 0), "process 9 (a session that this role may not look into)"),
        (Blocker(0, "", "", "", 0), "a prepared transaction (see pg_prepared_xacts)"),
    ],
)
def test_blocker(blocker: Blocker, said: str) -> None:
    assert str(blocker) == said


@pytest.mark.parametrize(
    ("login", "user"), [(None, None), ({"login_user": "postgres", "login_password": "x"}, "postgres")]
)
def test_who_watches(login: dict[str, Any] | None, user: str | None) -> None:
    found = watcher_from_params(Server("owner", "shop"), {"watch_login": login})
    assert (found and (found.user, found.database)) == (user and (user, "shop"))
