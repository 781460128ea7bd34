# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that the application's own Python runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic_utils.replaceable_entity import registry
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted import models_to_sql

ENTITIES = """
from alembic_utils.pg_function import PGFunction
from alembic_utils.pg_view import PGView
from alembic_utils.replaceable_entity import register_entities
from sqlalchemy import CheckConstraint, Column, Enum, MetaData, Table, Text
class Base:
    metadata = MetaData()
Table("t", Base.metadata, Column("a", Text), Column("b", Enum("x", name="kind")), CheckConstraint("a LIKE '%_'"),
      schema="s")
register_entities([PGView("public", "v", "SELECT a::text AS a FROM s.t"),
                   PGFunction("public", "f()", "RETURNS int LANGUAGE sql AS 'SELECT 1'")])
"""


def run(home: Path, target: str) -> dict[str, Any]:
    models_to_sql.main(target, str(home / "out"))
    found: dict[str, Any] = json.loads((home / "out").read_text())
    return found


def test_all_that_models_describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop_entities.py").write_text(ENTITIES)
    try:
        found = run(tmp_path, "shop_entities:Base")
    finally:
        registry.clear()
    made = [" ".join(each.split()) for each in found["statements"]]
    assert made[:3] == [
        "CREATE SCHEMA IF NOT EXISTS s",
        "CREATE TYPE kind AS ENUM ('x')",
        "CREATE TABLE s.t ( a TEXT, b kind, CHECK (a LIKE '%_') )",
    ]
    assert [each.split("(")[0] for each in made[3:]] == [
        'CREATE FUNCTION "public"."f"', 'CREATE VIEW "public"."v" AS SELECT a::text AS a FROM s.t',
    ]  # fmt: skip
    assert found["kinds"] == ["function", "view"]


@pytest.mark.parametrize(
    ("content", "target", "said"),
    [
        ("import nothing_of_that_name", "broken:Base", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def f(:", "broken:Base", "SyntaxError"),
        ("x = 1", "broken:Base", "AttributeError: module 'broken' has no attribute 'Base'"),
        ("Base = 1", "broken:Base", "AttributeError: 'int' object has no attribute 'tables'"),
        ("raise SystemExit('no settings')", "broken:Base", "SystemExit: no settings"),
    ],
)
def test_what_is_wrong_with_them_is_theirs_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, target: str, said: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "broken", raising=False)
    (tmp_path / "broken.py").write_text(content)
    assert said in run(tmp_path, target)["error"]
