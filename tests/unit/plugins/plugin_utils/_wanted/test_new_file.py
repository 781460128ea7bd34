# SPDX-License-Identifier: GPL-3.0-or-later
"""The name and the text of a new migration, and that it is there as a whole or not at all."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted import new_file

THERE = ["20250101000000_init", "20250102000000_add_users"]
NOW = datetime(2025, 3, 1, 12, 30, 5)


@pytest.mark.parametrize("name", ["add_x", "Add-X2", "9", "x" * 200])
def test_a_name_that_can_be(name: str) -> None:
    new_file.check_name(name, THERE)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "The new migration has no name: say what it does, such as -e name=add_orders."),
        ("add x", "The name 'add x' can't be a migration's: use letters, digits, _ and - alone"),
        ("../x", "The name '../x' can't be"),
        ("a/b", "The name 'a/b' can't be"),
        ("naïve", "The name 'naïve' can't be"),
        ("-x", "The name '-x' can't be"),
        ("x\n", "The name 'x\\n' can't be"),
        ("x" * 201, "The name of the new migration has 201 characters, more than 200: choose a shorter one."),
        ("add_users", "There is a migration of that name already, 20250102000000_add_users: choose another name."),
        ("20250101000000_init", "There is a migration of that name already, 20250101000000_init"),
    ],
)
def test_a_name_that_can_not_be(name: str, said: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        new_file.check_name(name, THERE)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "20250301123005_x"),
        (THERE, "20250301123005_x"),
        (["1_a"], "20250301123005_x"),
        ([*THERE, "20250301123005_y"], "20250301123006_x"),
        ([*THERE, "20991231235959_y"], "21000101000000_x"),
    ],
)
def test_it_comes_after_all_that_are_there(names: list[str], expected: str) -> None:
    assert new_file.stamped("x", names, NOW) == expected


@pytest.mark.parametrize("newest", ["9_last", "final", "99999999999999_x"])
def test_nothing_comes_after_some_names(newest: str) -> None:
    with pytest.raises(SlipwayError, match=f"^The migration '{newest}' would come after any that begins with the time"):
        new_file.stamped("x", [newest], NOW)


def test_the_text_has_its_remarks_as_comments() -> None:
    text = new_file.text(["Derived.", "- " + "word " * 30], ["CREATE TABLE a ()", "DROP TABLE b;"])
    lines = text.splitlines()
    assert lines[0] == "-- Derived."
    assert all(line.startswith("--") and len(line) <= 117 for line in lines[:3])
    assert text.endswith("\n\nCREATE TABLE a ();\n\nDROP TABLE b;\n")
    assert new_file.text([], ["SELECT 1"]) == "SELECT 1;\n"


def test_it_is_written_as_a_whole(tmp_path: Path) -> None:
    home = tmp_path / "migrations"
    new_file.write(str(home), "1_a", {"migration.sql": "a", "down.sql": "b"})
    assert {path.name: path.read_text() for path in (home / "1_a").iterdir()} == {"migration.sql": "a", "down.sql": "b"}
    assert new_file.existing(str(home)) == ["1_a"]
    with pytest.raises(OSError, match="not empty"):
        new_file.write(str(home), "1_a", {"migration.sql": "c"})
    assert (home / "1_a" / "migration.sql").read_text() == "a"
    assert list(tmp_path.iterdir()) == [home]
