# SPDX-License-Identifier: GPL-3.0-or-later
"""A derived change is put into a database through Ansible, and a second run finds nothing to do."""

from __future__ import annotations

from typing import Any

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once


def test_a_push(ansible: Ansible) -> None:
    (ansible.home / "schema.sql").write_text("CREATE TABLE a (id int PRIMARY KEY, note text);\n")
    ansible.write("1_a", "CREATE TABLE a (id int PRIMARY KEY);")
    ansible.run("migrations")

    def derive(base: str) -> dict[str, Any]:
        return ansible.run("schema_change", directory=str(ansible.home), base=base)

    statements = derive("database")["statements"]
    assert statements == ["ALTER TABLE public.a ADD COLUMN note text"]

    def push(*flags: str, **more: object) -> dict[str, Any]:
        return ansible.run("schema_push", *flags, **more)

    refused = push(statements=statements, require_backup=True, backup_directory=str(ansible.home))
    assert "has no proved backup of this run" in refused["msg"]
    for flags, changed in ((["--check"], True), ([], True)):
        assert push(*flags, statements=statements)["changed"] is changed
    assert derive("database")["statements"] == []
    assert push(statements=[])["changed"] is False

    # The next migration makes the same, and there is nothing for it to do here.
    derived = derive("migrations")
    assert (derived["statements"], derived["there"]) == (statements, True)
    ansible.write("2_note", ";".join(statements))
    ansible.run("migration_resolve", names=["2_note"], state="applied", reason="pushed", author="tester")
    assert derive("migrations")["statements"] == []
    assert ansible.run("schema_drift")["problems"] == []
