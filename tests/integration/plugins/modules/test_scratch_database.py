# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a database, made and dropped."""

from __future__ import annotations

from support.backup import Site, contents, run_module


def test_a_copy_of_a_database_that_nobody_is_in(site: Site) -> None:
    arguments = {**site.postgres.login(site.database), "state": "present"}
    name = f"{site.database}_scratch"
    check = run_module("scratch_database", {**arguments, "_ansible_check_mode": True})
    assert (check["changed"], check["actions"]) == (True, [f"Would copy database {site.database} as {name}."])
    assert site.databases() == []
    for _ in range(2):  # made anew
        done = run_module("scratch_database", arguments)
        assert (done["changed"], done["actions"]) == (True, [f"Copied database {site.database} as {name}."])
        assert contents(site.postgres, name) == contents(site.postgres, site.database)
        site.postgres.execute("DELETE FROM t", name)
    inside = site.postgres.connect(site.database)
    try:
        assert "is being accessed by other users" in run_module("scratch_database", arguments)["msg"]
    finally:
        inside.close()
