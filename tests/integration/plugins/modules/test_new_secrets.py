# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets in the file of the generated ones, through Ansible."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.release import ansible

OLD = {"app_key": "k" * 40, "database_application": "p" * 40, "database_owner": "o" * 40}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "secrets.json"
    found.write_text(json.dumps(OLD))
    found.chmod(0o600)
    return found


def run(file: Path, names: list[str], *flags: str) -> str:
    values = {"login": "shop_app_b"}
    told = {"file": str(file), "names": names, "without_former": ["database_application"], "values": values}
    done = ansible(
        file.parent, "ansible", "-i", "localhost,", "-c", "local", *flags, "localhost",
        "-m", "slipway.deploy.new_secrets", "-a", json.dumps(told),
    )  # fmt: skip
    return done.stdout + done.stderr


def test_they_take_the_place_of_the_old_ones(file: Path) -> None:
    names = ["app_key", "database_application"]
    assert f"Made a new app_key in {file}." in run(file, names, "--check")
    assert json.loads(file.read_text()) == OLD
    shown = run(file, names)
    kept = json.loads(file.read_text())
    assert f"Made a new database_application in {file}." in shown
    assert (kept["login"], kept["database_owner"], kept["app_key_former"]) == ("shop_app_b", "o" * 40, "k" * 40)
    assert kept.keys() == {*OLD, "login", "app_key_former"}
    assert all(kept[name] != OLD[name] and len(kept[name]) == 40 and kept[name] not in shown for name in names)
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_not_there_is_refused(file: Path) -> None:
    said = run(file, ["app_key", "app_kee"])
    assert f"{file} holds no secret app_kee to replace, so that nothing was changed; it holds app_key, " in said
    assert json.loads(file.read_text()) == OLD
