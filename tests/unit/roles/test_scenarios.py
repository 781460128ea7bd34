# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role has a scenario of Molecule in which it is used alone, with tests that pytest finds."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_each_role_has_a_scenario() -> None:
    roles = {path.parent.name for path in ROOT.glob("roles/*/tasks")}
    assert {path.parents[1].name for path in ROOT.glob("molecule/role-*/tests/test_role_*.py")} == {
        f"role-{role}" for role in roles
    }
    assert all((ROOT / f"molecule/role-{role}/molecule.yml").is_file() for role in roles)
