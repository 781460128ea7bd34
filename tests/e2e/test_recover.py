# SPDX-License-Identifier: GPL-3.0-or-later
"""The host is lost: its application stands again on another, from the copies away from it alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conftest import Deployed
from support.environment import Environment
from support.offsite import path_with_restic


@pytest.fixture(scope="module", autouse=True)
def restic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path_with_restic(tmp_path_factory.mktemp("restic")))
        yield


@pytest.mark.soak
def test_a_bare_host(deployed: Deployed, fresh: Environment, tmp_path: Path) -> None:
    deployed.first.succeeded()
    away = {"backup_offsite": str(tmp_path / "away")}
    lost = fresh.play("playbooks/recover.yml").failed().messages
    assert lost[0].startswith("There is no backup_offsite, from which a lost host is recovered: set it, or bring")
    deployed.play("playbooks/backup.yml", **away).succeeded()
    newest = deployed.backups()[-1]["name"]
    assert (
        f"{newest}  both"
        in deployed.play("playbooks/backups.yml", verify="true", check="true", **away).succeeded().output
    )

    told = deployed.play("playbooks/backups.yml", check="true", backup_max_age=0, **away).failed().messages
    assert told[0].startswith(f"The newest proved backup, {newest}, is ")

    # What is left is the controller with its migrations and secrets.
    shutil.copytree(deployed.migrations, fresh.migrations, dirs_exist_ok=True)
    fresh.state.mkdir()
    shutil.copy(deployed.secrets, fresh.secrets)
    none = fresh.play("playbooks/recover.yml", backup_offsite=str(tmp_path / "empty")).failed().messages
    assert "restic snapshots failed at the repository" in none[0]
    fresh.play("playbooks/recover.yml", **away).succeeded()
    try:
        assert fresh.rows() == deployed.rows()
        assert fresh.schema() == deployed.schema()
        assert fresh.json("/api/v1/teams") == deployed.json("/api/v1/teams")
        record = fresh.records()[-1]
        assert (record["verb"], record["status"]) == ("deploy", "succeeded")
        assert "restore" in [phase["name"] for phase in record["phases"]]
        assert fresh.deploy().succeeded().recap["changed"] == 0
    finally:
        fresh.play("playbooks/teardown.yml", delete_data=True).succeeded()
