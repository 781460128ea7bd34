# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read once is taken again as long as it is the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration import prisma_layout
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read, read_once


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed, in order."""
    names: list[str] = []

    def counted(raw: bytes, file: str, reaches: object) -> object:
        names.append(file)
        return original(raw, file, reaches)

    original: Any = prisma_layout.parse
    monkeypatch.setattr(prisma_layout, "parse", counted)
    return names


def test_a_run_parses_its_migrations_once(tmp_path: Path, parsed: list[str]) -> None:
    kept, directory = tmp_path / "kept", tmp_path / "m"
    kept.mkdir()
    for name in ("1_a", "2_b"):
        (directory / name).mkdir(parents=True)
        (directory / name / "migration.sql").write_text(f"CREATE INDEX i_{name} ON t (id)")
    first = read_once(str(directory), "m", "verify", False, kept)
    again = read_once(str(directory), "m", "verify", True, kept)
    assert read_once(str(directory), "m", "verify", False, kept) == again
    assert parsed == ["m/1_a/migration.sql", "m/2_b/migration.sql"]
    assert again.migrations == first.migrations
    assert [bool(found.scripts["1_a"].lint) for found in (first, again)] == [False, True]
    assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda m: (m / "1_a" / "migration.sql").write_text("SELECT 2"),
        lambda m: (m / "1_a" / "verify.sql").write_text("SELECT true"),
        lambda m: (m / "migration_lock.toml").write_text('provider = "postgresql"\n'),
        lambda m: (m / "2_b").mkdir(),
        lambda m: (shutil.copytree(m, m.with_name("n")), shutil.rmtree(m), m.with_name("n").rename(m)),
    ],
)
def test_what_was_changed_is_read_again(tmp_path: Path, parsed: list[str], change: Callable[[Path], object]) -> None:
    kept, directory = tmp_path / "kept", tmp_path / "m"
    kept.mkdir()
    (directory / "1_a").mkdir(parents=True)
    (directory / "1_a" / "migration.sql").write_text("SELECT 1")
    read_once(str(directory), "m", "verify", False, kept)
    change(directory)
    assert read_once(str(directory), "m", "verify", False, kept).migrations == read(str(directory), "m").migrations
    assert parsed.count("m/1_a/migration.sql") == 3
