# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollback would do: the ledger, the history, the backups and the files held against the kept releases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Postgres
from support.manifest import manifest
from support.migrations import Ansible

pytestmark = pytest.mark.once

RELEASES = [
    {"container": "c1", "release": "one", "serves": False, "created": "2026-01-01T10:00:00Z",
     "ended": "2026-01-02T10:00:00Z", "led_to": True},
    {"container": "c2", "release": "two", "serves": True, "created": "2026-01-02T10:00:00Z", "ended": ""},
]  # fmt: skip


def test_what_a_rollback_would_do(postgres: Postgres, tmp_path: Path) -> None:
    ansible = Ansible(postgres, postgres.database(), tmp_path)
    for name in ("1_a", "2_b"):
        ansible.write(name, f"CREATE TABLE t{name} ();")
    ansible.run("migrations")
    postgres.execute(
        "UPDATE _prisma_migrations SET started_at = CASE migration_name WHEN '1_a' THEN timestamptz '2026-01-01 09:00Z'"
        " ELSE '2026-01-02 09:59Z' END",
        ansible.database,
    )
    state, backups = tmp_path / "state", tmp_path / "backups"
    state.mkdir()
    backups.mkdir()
    records = [
        {"verb": "deploy", "status": "succeeded", "release": "one", "finished": "2026-01-01T10:00:05+00:00"},
        {"verb": "deploy", "status": "failed", "release": "two", "finished": "2026-01-01T11:00:00+00:00"},
        {"verb": "deploy", "status": "succeeded", "release": "two", "finished": "2026-01-02T10:00:05+00:00"},
    ]
    (state / "deployments.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for kept in (manifest(1, tables={"t": 3}), manifest(2, tables={"t": 5}, started="2026-01-02T10:30:00+00:00")):
        (backups / f"{kept.name}.json").write_text(kept.text())
        (backups / kept.dump).write_bytes(b"x")
    asked = {
        "directory": str(state), "backup_directory": str(backups), "application": "autotest",
        "environment_name": "test", "releases": RELEASES,
    }  # fmt: skip
    found = ansible.run("rollback_info", **asked)["rollback"]
    assert found == {
        "release": "one", "container": "c1", "serving": "two", "since": ["2_b"], "backup": "n1",
        "ways": ["application", "backup"], "barred": {"undo": "2_b has no down.sql"}, "rows": [],
    }  # fmt: skip
    (ansible.directory / "2_b" / "down.sql").write_text("DROP TABLE t2_b;")
    found = ansible.run("rollback_info", **asked, taken="n2")["rollback"]
    assert (found["ways"], found["barred"]) == (["application", "undo", "backup"], {})
    assert found["rows"] == [{"table": "t", "then": 3, "now": 5}]
    assert ansible.run("rollback_info", **asked, way="undo")["rollback"]["ways"] == ["undo"]
    assert ansible.run("rollback_info", **asked, to="nine")["msg"].startswith(
        "Release 'nine' is not kept on this host; there is one (until 2026-01-02T10:00:00): take one of them with"
    )
