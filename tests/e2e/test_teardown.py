# SPDX-License-Identifier: GPL-3.0-or-later
"""Teardown stops everything and keeps the data unless told otherwise. The last file: it ends the environment."""

from __future__ import annotations

import shutil

import pytest
from e2e.conftest import Deployed, directory
from support.environment import Environment, Outcome


@pytest.mark.parametrize("typed", [{}, {"confirm": "prod"}], ids=["nothing typed", "another name typed"])
def test_outside_local_the_name_is_asked_for_before_data_is_deleted(fresh: Environment, typed: dict[str, str]) -> None:
    outcome = fresh.play(
        "playbooks/teardown.yml", "-i", "test",
        environ={"DOCKER_HOST": "unix:///nonexistent.sock"},  # nothing of the test environment is within reach
        secrets_file=fresh.state / "secrets.json", delete_data="true", **typed,
    ).failed()  # fmt: skip

    assert outcome.messages[0] == (
        "This stops autotest-test and deletes database autotest with all its data, after a proved backup. It was not "
        "confirmed, so nothing was changed: run again with -e confirm=test."
    )
    assert outcome.recap["changed"] == 0


@pytest.mark.soak
def test_outside_local_a_last_backup_comes_before_the_deletion() -> None:
    environment = Environment(directory())
    data = environment.state / "postgres" / "data"

    def play(playbook: str, **variables: str) -> Outcome:
        return environment.play(playbook, environment_name="staging", confirm="staging", **variables)

    try:
        play("deploy.yml").succeeded()
        rows, backups = environment.rows(), environment.backups()
        play("playbooks/teardown.yml").succeeded()
        told = " ".join(play("playbooks/teardown.yml", delete_data="true").failed().messages)
        assert "No last backup could be taken: Can't connect to database 'autotest'" in told
        assert (
            "The application is stopped, and no data was deleted: start the server with a deploy and run again, or "
            "delete without a last backup by -e last_backup=false."
        ) in told
        assert data.exists()

        play("deploy.yml").succeeded()
        play("playbooks/teardown.yml", delete_data="true").succeeded()
        assert not data.exists()
        [*kept, last] = environment.backups()
        assert kept == backups
        assert last["proved"]
        assert sum(last["tables"].values()) >= sum(rows.values()) > 0
        assert play("playbooks/teardown.yml", delete_data="true").succeeded().recap["changed"] == 0
    finally:
        play("playbooks/teardown.yml", delete_data="true", last_backup="false")
        shutil.rmtree(environment.directory)


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
