# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for migrations as Ansible runs them, action plugins and all."""

from __future__ import annotations

import json

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_migration


def test_four_runs(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a (secret_text_of_a int);\n")

    check = ansible.run("migrations", "--check", "--diff")
    assert (check["changed"], check["actions"]) == (True, ["Would apply 1_a."])
    assert check["migrations"]["pending"] == ["1_a"]
    assert "+CREATE TABLE a (secret_text_of_a int);" in check["shown"]
    assert ansible.tables() == []

    digest = ansible.run("migrations_info")["digest"]
    ansible.write("1_a", "CREATE TABLE a (secret_text_of_b int);\n")
    changed = ansible.run("migrations", digest=digest)["msg"]
    assert changed.startswith(f"The migrations in '{ansible.directory}' were changed during this run, so that nothing")
    ansible.write("1_a", "CREATE TABLE a (secret_text_of_a int);\n")

    applied = ansible.run("migrations", release="v1", snapshot=True, digest=digest)
    assert (applied["changed"], applied["release"]) == (True, "v1")
    assert applied["actions"][0].startswith("Applied 1_a in 0.")
    assert applied["migrations"]["status"] == "up_to_date"
    assert ansible.tables() == ["_prisma_migrations", "a"]
    assert ansible.run("schema_drift", against="snapshot")["problems"] == []

    for flags in (["--check"], []):
        again = ansible.run("migrations", *flags)
        assert (again["changed"], again["actions"], again["migrations"]["applied"]) == (False, [], ["1_a"])
        assert "secret_text" not in json.dumps(again)


def test_what_was_applied_before_a_failure_counts_as_changed(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    ansible.write("2_b", "SELECT 1 / 0;")
    failed = ansible.run("migrations")
    assert (failed["changed"], [each["name"] for each in failed["migrations"]["applied_now"]]) == (True, ["1_a"])
    assert ansible.tables() == ["_prisma_migrations", "a"]
    assert ansible.run("migrations")["changed"] is False
