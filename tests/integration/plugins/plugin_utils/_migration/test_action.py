# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions read on the controller gets to the module, in one call."""

from __future__ import annotations

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_migration


def test_errors(ansible: Ansible) -> None:
    assert "There is no directory of migrations" in ansible.run("migrations")["msg"]
    ansible.write("1_a", "CREATE TABLE a ();\nCREATE TABLE a ();\n")
    failed = ansible.run("migrations")
    assert f'failed at {ansible.directory}/1_a/migration.sql:2:1: relation "a" already exists' in failed["msg"]
    assert failed["migrations"]["pending"] == ["1_a"]
    assert ansible.tables() == ["_prisma_migrations"]
    assert "is missing" in ansible.run("migrations", path="")["msg"]


def test_policy_and_lint(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 500000);")
    ansible.run("migrations")
    ansible.write("2_b", "DROP TABLE a;")
    ansible.write("3_c", "CREATE TABLE c (x char(3));")
    found = ansible.run("migrations_info", policy={"destructive": "deny"})
    assert (len(found["problems"]), len(found["remarks"])) == (2, 1)  # the second says how to let it pass
    assert found["migrations"]["destructive"] == ["2_b"]
    assert [each["rule"] for each in found["migrations"]["lint"]] == ["ban-char-field"]
    assert "drops the table" in ansible.run("migrations", policy={"destructive": "deny"})["msg"]
    waiver = {"migration": "2_b", "rule": "destructive", "reason": "not used since May", "author": "ada"}
    passed = ansible.run("migrations", policy={"destructive": "deny", "lint": "allow"}, waivers=[waiver])
    assert passed["migrations"]["status"] == "up_to_date"
    assert "[WARNING]" in passed["shown"]
