# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from the application to its database, as an operator asks for it."""

from __future__ import annotations

import re

from e2e.conftest import Deployed

DB_PULL = "playbooks/db_pull.yml"


def test_the_way_to_the_database(deployed: Deployed) -> None:
    deployed.first.succeeded()
    told = deployed.play(DB_PULL, "--check").succeeded()
    assert told.recap["changed"] == 1  # the file that would be written
    assert not (deployed.application / "schema.sql").exists()
    states = re.findall(r"^  (name|port|protocol|TLS|login|database|rights|version|pooler) +(\S+)  ", told.output, re.M)
    assert [state for _step, state in states] == ["ok"] * 9
    assert "may connect, and use public" in told.output


def test_the_first_step_that_fails_ends_it(deployed: Deployed) -> None:
    deployed.first.succeeded()
    failed = deployed.play(DB_PULL, database_application_password="not-this-one").failed()
    assert failed.messages[0].startswith("The server does not take role autotest_app with this password (")
    assert re.search(r"^  login +failed ", failed.output, re.MULTILINE)
    assert re.search(r"^  database +not reached", failed.output, re.MULTILINE)
    assert "not-this-one" not in failed.output
