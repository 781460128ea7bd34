# SPDX-License-Identifier: GPL-3.0-or-later
"""Teardown stops everything and keeps the data unless told otherwise. The last file: it ends the environment."""

from __future__ import annotations

from e2e.conftest import Deployed


def test_a_teardown_stops_everything_and_a_deploy_finds_the_data_again(deployed: Deployed) -> None:
    deployed.first.succeeded()
    dump, backups = deployed.dump(), deployed.backups()
    deployed.play("playbooks/teardown.yml").succeeded()
    assert deployed.processes() == {}

    deployed.deploy().succeeded()
    assert deployed.dump() == dump
    assert deployed.backups()[: len(backups)] == backups
    assert deployed.json("/readyz")["status"] == "ready"


def test_delete_data_deletes_the_database_and_keeps_the_backups(deployed: Deployed) -> None:
    deployed.first.succeeded()
    backups = deployed.backups()
    deployed.play("playbooks/teardown.yml", delete_data="true").succeeded()

    assert deployed.processes() == {}
    assert not (deployed.state / "postgres/data").exists()
    assert deployed.backups() == backups
    assert not list((deployed.state / "run").glob("*"))
