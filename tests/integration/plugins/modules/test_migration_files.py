# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations are looked at without a database."""

from __future__ import annotations

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_migration


def test_files_alone(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a ();")
    assert ansible.run("migration_files")["names"] == ["1_a"]
    ansible.write("2_b", "SELEC 1;")
    assert "2_b/migration.sql:1:1: syntax error" in ansible.run("migration_files")["msg"]
    assert len(ansible.run("migration_files", strict=False)["problems"]) == 1
    ansible.write("2_b", "CREATE EXTENSION citext;")
    assert (
        "2_b/migration.sql:1:1 needs the extension 'citext', which"
        in ansible.run("migration_files", embedded=True)["msg"]
    )
