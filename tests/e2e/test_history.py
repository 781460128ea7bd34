# SPDX-License-Identifier: GPL-3.0-or-later
"""What was changed by hand is told, and the history is corrected by a verb of its own."""

from __future__ import annotations

import hashlib

from e2e.conftest import Deployed

INIT = "20250728210351_init"


def test_what_was_changed_by_hand_is_told(deployed: Deployed) -> None:
    deployed.first.succeeded()
    assert (
        "autotest-local is as its migrations made it, by their replay."
        in deployed.play("playbooks/drift.yml").succeeded().output
    )
    deployed.sql("CREATE INDEX by_hand ON builds (created_at)")
    try:
        drift = deployed.play("playbooks/drift.yml").failed()
        status = deployed.play("playbooks/status.yml").succeeded()
        told = deployed.deploy().succeeded()
        denied = deployed.deploy("-e", '{"app_migrations_policy": {"drift": "deny"}}').failed()
    finally:
        deployed.sql("DROP INDEX by_hand")
    sentence = "index public.by_hand was added by hand"
    assert "autotest-local was changed outside its migrations: undo that" in drift.output
    assert "index public.by_hand  " in drift.output
    assert "CREATE INDEX by_hand ON public.builds" in drift.output
    assert sentence in status.output
    assert sentence in told.output
    assert told.recap["changed"] == 0
    assert deployed.records()[-2]["facts"]["drift"] == "index public.by_hand"
    assert denied.messages[0].startswith(sentence)
    assert {"autotest_replay"} & deployed.databases() == set()


def test_an_edited_file_is_refused_until_it_is_accepted(deployed: Deployed) -> None:
    deployed.first.succeeded()
    file = deployed.directory / "migrations" / INIT / "migration.sql"
    text = file.read_text()
    file.write_text(text + "-- a remark that was added later\n")
    try:
        assert INIT in deployed.deploy().failed().messages[0]
        resolved = deployed.play(
            "playbooks/resolve.yml", names=INIT, state="repaired", reason="'a remark'", author="'an engineer'"
        )
        assert resolved.succeeded().recap["changed"] == 1
        assert deployed.sql("SELECT checksum FROM _prisma_migrations WHERE migration_name = %s", INIT) == [
            (hashlib.sha256(file.read_bytes()).hexdigest(),)
        ]
        deployed.deploy().succeeded()
    finally:
        file.write_text(text)
        deployed.play(
            "playbooks/resolve.yml", names=INIT, state="repaired", reason="'as it was'", author="'an engineer'"
        )
    deployed.play("playbooks/status.yml").succeeded()
    deployed.play("playbooks/drift.yml").succeeded()
