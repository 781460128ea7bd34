# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter's findings: at the right place, about the right tables, waived where the file says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration_lint import Lint
from ansible_collections.slipway.deploy.plugins.plugin_utils import _migration_lint
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration_files import read

RULE = "require-concurrent-index-creation"


def found(directory: Path, sql: str) -> list[tuple[str, str, tuple[str, ...], str]]:
    file = directory / "1_a" / "migration.sql"
    file.parent.mkdir()
    file.write_text(sql)
    lints: tuple[Lint, ...] = read(str(directory), "m", linted=True).scripts["1_a"].lint
    return [(lint.place, lint.rule, lint.tables, lint.waiver) for lint in lints]


FINDINGS = [
    ("CREATE TABLE t (id int);", []),
    ("-- é\n\n  CREATE INDEX i ON t (id);", [("m/1_a/migration.sql:3:3", RULE, ('"t"',), "")]),
    (f"-- slipway: allow {RULE}: a small table\nCREATE INDEX i ON t (id);",
     [("m/1_a/migration.sql:2:1", RULE, ('"t"',), "a small table")]),
    (f"CREATE INDEX i ON t (id) -- slipway: allow {RULE}: so it is\n;",
     [("m/1_a/migration.sql:1:1", RULE, ('"t"',), "so it is")]),
    (f"-- slipway: allow {RULE}: the first one\nCREATE INDEX i ON t (id);\nCREATE INDEX j ON u (id);",
     [("m/1_a/migration.sql:2:1", RULE, ('"t"',), "the first one"), ("m/1_a/migration.sql:3:1", RULE, ('"u"',), "")]),
    (f"-- slipway: allow {RULE}:\nCREATE INDEX i ON t (id);", [("m/1_a/migration.sql:2:1", RULE, ('"t"',), "")]),
    ("-- slipway: allow other-rule: why\nCREATE INDEX i ON t (id);", [("m/1_a/migration.sql:2:1", RULE, ('"t"',), "")]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), FINDINGS)
def test_findings(tmp_path: Path, sql: str, expected: list[tuple[str, str, tuple[str, ...], str]]) -> None:
    assert found(tmp_path, sql) == expected


def test_without_the_linter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_migration_lint.shutil, "which", lambda *_, **__: None)
    with pytest.raises(SlipwayError, match=r"^The linter squawk is missing on the controller: install it there"):
        found(tmp_path, "SELECT 1")
