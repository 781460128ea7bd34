# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter's findings: at the right place, about the right tables, waived where the file says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.lint_relevance import Lint
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration import lint as linter
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.lint import lint
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import parse

RULE = "require-concurrent-index-creation"


def found(directory: Path, sql: str) -> list[tuple[str, str, tuple[str, ...], str]]:
    file = directory / "1_a" / "migration.sql"
    file.parent.mkdir()
    file.write_text(sql)
    lints: tuple[Lint, ...] = read(str(directory), "m").lint().scripts["1_a"].lint
    return [(lint.place, lint.rule, lint.tables, lint.waiver) for lint in lints]


PLACE = "m/1_a/migration.sql"
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
    # After the statement on its line
    (f"CREATE INDEX i ON t (id); -- slipway: allow {RULE}: so it is", [(f"{PLACE}:1:1", RULE, ('"t"',), "so it is")]),
    (f"CREATE INDEX i ON t (id); -- slipway: allow {RULE}: the first one\nCREATE INDEX j ON u (id);",
     [(f"{PLACE}:1:1", RULE, ('"t"',), "the first one"), (f"{PLACE}:2:1", RULE, ('"u"',), "")]),
    (f"SELECT 1; CREATE INDEX i ON t (id);\n-- slipway: allow {RULE}: the second one\nCREATE INDEX j ON u (id);",
     [(f"{PLACE}:1:11", RULE, ('"t"',), ""), (f"{PLACE}:3:1", RULE, ('"u"',), "the second one")]),
    # Columns are those of characters, lines those of the other messages
    (f"SELECT '{'é' * 40}'; CREATE INDEX i ON t (id); CREATE INDEX j ON u (id);",
     [(f"{PLACE}:1:52", RULE, ('"t"',), ""), (f"{PLACE}:1:78", RULE, ('"u"',), "")]),
    ("SELECT 1;\r\n-- \r CREATE INDEX i ON t (id);", [(f"{PLACE}:2:6", RULE, ('"t"',), "")]),
    # Squawk's own comments
    (f"-- squawk-ignore {RULE}\nCREATE INDEX i ON t (id);", [(f"{PLACE}:2:1", RULE, ('"t"',), "")]),
    (f"-- squawk-ignore-file {RULE}\nCREATE INDEX i ON t (id);", [(f"{PLACE}:2:1", RULE, ('"t"',), "")]),
    ("-- squawk-ignore-file\nCREATE INDEX i ON t (id);", [(f"{PLACE}:2:1", RULE, ('"t"',), "")]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), FINDINGS)
def test_findings(tmp_path: Path, sql: str, expected: list[tuple[str, str, tuple[str, ...], str]]) -> None:
    assert found(tmp_path, sql) == expected


def test_the_linter_has_no_settings_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".squawk.toml").write_text(f'excluded_rules = ["{RULE}"]')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(linter, "_IN_MEMORY", tmp_path)  # squawk looks for settings upwards
    assert [rule for _, rule, _, _ in found(tmp_path, "CREATE INDEX i ON t (id);")] == [RULE]


def test_what_is_linted_is_what_was_read(tmp_path: Path) -> None:
    script = parse(b"CREATE INDEX i ON t (id);", str(tmp_path / "gone.sql"))
    assert [each.rule for each in lint(["a"], {"a": script, "b": script})["a"].lint] == [RULE]


def test_only_what_is_named_is_linted(tmp_path: Path) -> None:
    script = parse(b"CREATE INDEX i ON t (id);", "f")
    assert lint([], {"a": script}) == {"a": script}


def test_without_the_linter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linter.shutil, "which", lambda *_, **__: None)
    with pytest.raises(SlipwayError, match=r"^The linter squawk is missing on the controller: install it there"):
        found(tmp_path, "SELECT 1")


def test_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linter, "_IN_MEMORY", tmp_path / "none")
    monkeypatch.setattr(linter.tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(
        SlipwayError, match=r"^Can't give the migrations to the linter squawk \(.*\): make room for temp"
    ):
        found(tmp_path, "SELECT 1")
