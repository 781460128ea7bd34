# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of models is written once for a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import Postgres
from support.modules import run_ansible


def test_from_nothing_to_a_change_of_the_schema(postgres: Postgres, tmp_path: Path) -> None:
    database = postgres.database()
    postgres.execute("CREATE TABLE orders (id bigint PRIMARY KEY)", database)
    file = tmp_path / "shop" / "models.py"

    def models(*flags: str) -> dict[str, Any]:
        return run_ansible("slipway.deploy.models", {**postgres.login(database), "path": str(file)}, tmp_path, *flags)

    would = models("--check", "--diff")
    assert (would["changed"], would["models"]["current"], file.exists()) == (True, False, False)
    assert models()["actions"] == [f"Wrote 1 model to {file}."]
    assert "class Orders(Base):" in file.read_text()
    assert not models("--check")["changed"]
    assert not models()["changed"]

    postgres.execute("ALTER TABLE orders ADD note text", database)
    assert models("--check")["changed"]
    assert "note" not in file.read_text()
    assert models()["models"] == {"path": str(file), "tables": 1, "current": False, "remarks": []}
    assert "note: Mapped[Optional[str]]" in file.read_text()

    file.unlink()
    file.mkdir()
    assert "directory" in models()["msg"]
    assert list(file.iterdir()) == []
