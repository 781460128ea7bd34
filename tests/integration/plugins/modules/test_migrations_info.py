# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the migrations is told, whatever it is."""

from __future__ import annotations

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_migration


SIGNED = {"reason": "because", "author": "ada"}


def test_info_succeeds_in_any_state(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    fresh = ansible.run("migrations_info")
    assert (fresh["changed"], fresh["status"], fresh["problems"]) == (False, "pending", [])
    ansible.run("migrations")
    ansible.write("1_a", "CREATE TABLE b ();")
    ansible.write("2_b", "no SQL")
    edited = ansible.run("migrations_info")
    assert (edited["status"], edited["migrations"]["edited"]) == ("edited", ["1_a"])
    assert [problem.split(" (")[0] for problem in edited["problems"]] == [
        "The migration '1_a' was edited after it was applied",
        f'{ansible.directory}/2_b/migration.sql:1:1: syntax error at or near "no"\n1 | no SQL\n  | ^',
        "To let the file differ from what was applied, set policy: {edited: warn}, or add to waivers for one "
        "migration: {migration: NAME, rule: edited, reason: WHY, author: WHO}.",
    ]
    for accepting in ({"policy": {"edited": "warn"}}, {"waivers": [{"migration": "1_a", "rule": "edited", **SIGNED}]}):
        assert ansible.run("migrations_info", **accepting)["accepted"] is False  # one is pending
    (ansible.directory / "2_b" / "migration.sql").unlink()
    (ansible.directory / "2_b").rmdir()
    for accepting in ({"policy": {"edited": "warn"}}, {"waivers": [{"migration": "1_a", "rule": "edited", **SIGNED}]}):
        found = ansible.run("migrations_info", **accepting)
        assert (found["accepted"], found["status"], found["problems"], len(found["remarks"])) == (True, "edited", [], 1)


def test_the_history_is_told_as_it_is(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    assert ansible.run("migrations_info")["history"] == []
    ansible.run("migrations")
    others = "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, rolled_back_at) VALUES"
    ansible.postgres.execute(
        f"{others} ('x', '', '0_x', '2020-01-01 12:00:00+02', '2020-01-02 12:00:00+02')", ansible.database
    )
    ansible.postgres.execute(f"{others} ('y', '', '0_y', '2020-01-03 12:00:00+02', NULL)", ansible.database)
    [rolled_back, failed, applied] = ansible.run("migrations_info")["history"]
    assert rolled_back == {
        "migration": "0_x", "state": "rolled back", "started": "2020-01-01 10:00:00", "finished": None,
        "rolled_back": "2020-01-02 10:00:00", "steps": 0,
    }  # fmt: skip
    assert (failed["migration"], failed["state"]) == ("0_y", "failed")
    utc = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
    columns = f"{utc.format('started_at')}, {utc.format('finished_at')}, applied_steps_count"
    query = f"SELECT {columns} FROM _prisma_migrations WHERE migration_name = '1_a'"
    [(started, finished, steps)] = ansible.postgres.execute(query, ansible.database)
    assert applied == {
        "migration": "1_a", "state": "applied", "started": started, "finished": finished, "rolled_back": None,
        "steps": steps,
    }  # fmt: skip
