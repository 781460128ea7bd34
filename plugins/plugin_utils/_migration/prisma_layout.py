# SPDX-License-Identifier: GPL-3.0-or-later
"""Prisma's layout of a directory of migrations: which entries count, what they hold, what is wrong with them."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import (
    Migration,
    Script,
    checksums,
    sort_key,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.directory import Directory
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.reach import Reaches
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import (
    NotApplicableError,
    in_one_transaction,
    parse,
)

LOCK_FILE = "migration_lock.toml"


def migrations_in(directory: Directory, companion: str) -> tuple[tuple[Migration, ...], dict[str, Script]]:
    """The migrations in the order in which they are to be applied, and what of them can be applied, by name.

    The script of ``<migration>/<companion>.sql``, where there is one, has the name ``<migration>/<companion>``. Raises
    SlipwayError when there is no migration, or they are for another database than PostgreSQL.
    """
    _check_provider(directory)
    names = sorted(directory.names(), key=sort_key)
    if not names:
        raise SlipwayError(
            f"The directory of migrations {directory.shown!r} holds no migration: put each in a directory of its own, "
            f"such as {directory.shown}/20250101120000_init/migration.sql."
        )
    scripts: dict[str, Script] = {}
    reaches = Reaches()
    return tuple(_migration(directory, name, companion, scripts, reaches) for name in names), scripts


def _migration(
    directory: Directory, name: str, companion: str, scripts: dict[str, Script], reaches: Reaches
) -> Migration:
    """Read one migration, and put what of it can be applied into ``scripts``."""
    raw = directory.content(f"{name}/migration.sql")
    if raw is None:
        file = f"{directory.shown}/{name}/migration.sql"
        return Migration(
            name,
            (),
            f"The migration {name!r} has no file {file}: restore it from version control, or delete the directory.",
        )
    problem = ""
    try:
        scripts[name] = parse(raw, f"{directory.shown}/{name}/migration.sql", reaches)
        extra = directory.content(f"{name}/{companion}.sql")
        if extra is not None:
            script = parse(extra, f"{directory.shown}/{name}/{companion}.sql", reaches)
            scripts[f"{name}/{companion}"] = in_one_transaction(script)
    except NotApplicableError as error:
        problem = str(error)
    return Migration(name, checksums(raw.decode("utf-8", "replace")), problem)


def _check_provider(directory: Directory) -> None:
    """Refuse migrations written for another database. A missing lock file is fine."""
    for line in (directory.content(LOCK_FILE) or b"").decode("utf-8", "replace").splitlines():
        if line.startswith("provider"):
            if line != 'provider = "postgresql"':
                raise SlipwayError(
                    f"{directory.shown}/{LOCK_FILE} says {line.strip()!r}: these migrations are for another database, "
                    'Slipway applies those with provider = "postgresql".'
                )
            return
