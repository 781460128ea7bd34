# SPDX-License-Identifier: GPL-3.0-or-later
"""The history is corrected through Ansible, and who is in the way is named."""

from __future__ import annotations

import contextlib
import re

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_migration


def test_who_blocks_an_undo_or_a_correction_is_named(ansible: Ansible) -> None:
    """Also when it is a session of the application's role, by who may see that."""
    database, postgres = ansible.database, ansible.postgres
    for role in ("undoing_owner", "undoing_app"):
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'long-enough'")
    postgres.execute("GRANT CREATE, USAGE ON SCHEMA public TO undoing_owner", database)
    owner = {"login_user": "undoing_owner", "login_password": "long-enough", "lock_wait": 0.2}
    seen_by = {"watch_login": {"login_user": postgres.user, "login_password": postgres.password}}
    ansible.write("1_a", "CREATE TABLE a ();")
    (ansible.directory / "1_a" / "down.sql").write_text("DROP TABLE a;")
    assert ansible.run("migrations", **owner)["changed"]
    postgres.execute("GRANT SELECT ON a TO undoing_app", database)
    opened = postgres.connect(database, "undoing_app", "long-enough")
    with contextlib.closing(opened), opened.cursor() as cursor:
        cursor.execute("SET application_name = 'shop'")
        cursor.execute("BEGIN; SELECT FROM a")
        for more, told in (
            ({}, r"process \d+ \(a session of role undoing_app that this role may not look into\)"),
            (seen_by, r"process \d+ \(shop, role undoing_app, idle in transaction for \d+ s: BEGIN; SELECT FROM a\)"),
        ):
            failed = ansible.run("migration_undo", names=["1_a"], lock_timeout="700ms", **owner, **more)["msg"]
            assert re.search(f"\nBLOCKED BY: {told}\n", failed)
            assert failed.endswith(
                "\nNothing was undone of 1_a: run again when these sessions have ended, or end them, as their own role "
                "or as a superuser, with SELECT pg_terminate_backend(PROCESS)."
            )
        cursor.execute(f"ROLLBACK; SELECT pg_advisory_lock({PRISMA_KEY})")
        corrected = {"names": ["1_a"], "state": "applied", "reason": "because", "author": "ada"}
        for module, arguments in (("migration_resolve", corrected), ("migration_undo", {"names": ["1_a"]})):
            failed = ansible.run(module, **owner, **arguments, **seen_by)["msg"]
            assert re.search(r"\(shop, role undoing_app, from .*, connected for \d+ s\); wait for it to end", failed)
    assert ansible.run("migration_undo", names=["1_a"], **owner, **seen_by)["changed"]
