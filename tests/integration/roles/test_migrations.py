# SPDX-License-Identifier: GPL-3.0-or-later
"""Role migrations applies and undoes nothing that it can't rehearse, whoever calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from release_support import ansible

pytestmark = pytest.mark.once


@pytest.mark.parametrize("entry", ["main", "undo"])
@pytest.mark.parametrize("copy", ["", "shop"], ids=["no copy", "the database itself"])
def test_it_insists_on_a_copy_to_rehearse_on(tmp_path: Path, entry: str, copy: str) -> None:
    variables = {
        "migrations_path": str(tmp_path),
        "migrations_admin_login": {"login_user": "postgres", "login_db": "shop"},
        "migrations_rehearsal_database": copy,
    }
    role = {"name": "slipway.deploy.migrations", "tasks_from": entry}
    task = {"name": "Call it", "ansible.builtin.include_role": role, "vars": variables}
    play = {"name": "Call the role", "hosts": "localhost", "gather_facts": False, "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = ansible(tmp_path, "ansible-playbook", "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml"))
    assert done.returncode != 0
    assert (
        "There is no copy of the database to rehearse on, so nothing was applied: migrations_rehearsal_database must "
        "name the scratch database of this run's backup."
    ) in done.stdout
