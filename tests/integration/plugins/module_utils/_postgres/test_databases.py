# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server tells of a database before it is dumped."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import describe
from conftest import Postgres


def test_a_server_that_hides_its_identity(postgres: Postgres) -> None:
    """As managed servers do."""
    database = postgres.database()
    role = f"{database}_admin"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'the-administrator'")
    postgres.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", database)
    [(version, identifier)] = postgres.execute(
        "SELECT current_setting('server_version'), system_identifier::text FROM pg_control_system()"
    )
    for login, expected in (((), identifier), ((role, "the-administrator"), "")):
        opened = postgres.connect(database, *login)
        with opened.cursor() as cursor:
            about = describe(cursor, database)
        opened.close()
        assert (about.server_version, about.system_identifier, about.name) == (version, expected, database)
