# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations are undone through Ansible, action plugin and all."""

from __future__ import annotations

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_migration


def test_down_and_resolve(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    (ansible.directory / "1_a" / "down.sql").write_text("DROP TABLE a;")
    ansible.run("migrations")
    check = ansible.run("migration_undo", "--check", "--diff", last=1)
    assert (check["changed"], check["actions"]) == (True, ["Would undo 1_a."])
    assert "+DROP TABLE a;" in check["shown"]
    done = ansible.run("migration_undo", "--diff", names=["1_a"])
    assert (done["changed"], done["migrations"]["rolled_back"]) == (True, ["1_a"])
    assert ansible.tables() == ["_prisma_migrations"]
    assert not ansible.run("migration_undo", names=["1_a"])["changed"]
    changed = ansible.run("migration_undo", names=["1_a"], digest="of other files")["msg"]
    assert "were changed during this run, so that nothing was done" in changed
    assert (check["digest"], len(check["digest"])) == (done["digest"], 64)
    assert "one of the following is required" in ansible.run("migration_undo")["msg"]

    baseline = {"names": ["1_a"], "state": "applied"}
    for flags, changed in ((["--check"], True), ([], True), (["--check"], False), ([], False)):
        assert ansible.run("migration_resolve", "--diff", *flags, **baseline)["changed"] is changed
    assert ansible.run("migrations_info")["status"] == "up_to_date"
    missing = ansible.run("migration_resolve", names=["1_a"], state="repaired")["msg"]
    assert missing == "state is repaired but all of the following are missing: reason, author"
