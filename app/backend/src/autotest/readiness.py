# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this release can serve: the database answers, and its schema is at least what this release needs."""

from __future__ import annotations

import psycopg

# Raise these with the migrations. A database with newer ones is fine: while a release is being replaced, the old one
# serves on the new schema.
REQUIRED_MIGRATIONS = (
    "20250728210351_init",
    "20250729072120_add_workflow_run_id_unique",
    "20250729080947_add_created_at_to_github_token",
    "20250729082955_change_workflow_run_id_to_bigint",
    "20250730170846_add_releases",
    "20250806013247_add_framework_field",
    "20250807033511_add_scheduled_tests",
    "20250807044828_add_workflow_run_id_to_scheduled_tests",
)
REQUIRED_MIGRATION = REQUIRED_MIGRATIONS[-1]

TIMEOUT_SECONDS = 2

_MISSING = """
SELECT required.name
FROM unnest(%s::text[]) WITH ORDINALITY AS required (name, position)
WHERE NOT EXISTS (
    SELECT 1
    FROM _prisma_migrations
    WHERE migration_name = required.name AND finished_at IS NOT NULL AND rolled_back_at IS NULL
)
ORDER BY required.position
"""


def why_not_ready(database_url: str) -> str | None:
    """Return one sentence on what is missing, or None.

    The check has a connection of its own, so that it tells the truth when the pool is busy.
    """
    try:
        with psycopg.connect(database_url, connect_timeout=TIMEOUT_SECONDS, autocommit=True) as connection:
            connection.execute(f"SET statement_timeout = '{TIMEOUT_SECONDS}s'")
            missing = [str(name) for (name,) in connection.execute(_MISSING, [list(REQUIRED_MIGRATIONS)])]
    except psycopg.errors.UndefinedTable:
        return "The database has no migration history."
    except psycopg.errors.InsufficientPrivilege:
        return "The application's role may not read the migration history."
    except psycopg.OperationalError:
        return "The database cannot be reached."
    except psycopg.Error as error:
        return f"The migration history cannot be read ({error.sqlstate})."
    if missing:
        rest = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"This release needs migration {missing[0]}{rest}, which the database does not have."
    return None
