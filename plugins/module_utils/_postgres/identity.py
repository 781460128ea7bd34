# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server an environment lives on, whose environment that is, and the file on the host that remembers both."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

FILE = "database.json"  # in the state directory


def identify(cursor: Cursor) -> dict[str, str]:
    """The server's version and identity. Managed servers may hide the identity; it is then ''."""
    cursor.execute(
        "SELECT current_setting('server_version'), has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
    )
    version, allowed = one_row(cursor)
    identifier = ""
    if allowed:
        cursor.execute("SELECT system_identifier::text FROM pg_catalog.pg_control_system()")
        identifier = one_row(cursor)[0]
    return {"server_version": version, "system_identifier": identifier}


def remembered(file: Path) -> dict[str, Any]:
    """What ``identify`` said when ``file`` was written, and the environment; empty when there is no such file."""
    if not file.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(file.read_text())
        known = {"server_version": "", "system_identifier": found["system_identifier"], "environment": ""}
        return {**known, **found}
    except (KeyError, TypeError, ValueError) as error:
        raise SlipwayError(
            f"{file} can't be read ({error}): see that the server is this environment's, delete the file and run again."
        ) from error


def remember(file: Path, facts: Mapping[str, str], environment: str) -> None:
    """Write down what ``identify`` said, and whose server that is."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(str(file), json.dumps({**facts, "environment": environment}) + "\n")


def check_environment(file: Path, environment: str) -> str:
    """The environment that ``file`` remembers, '' where it does not say; SlipwayError when it is another one.

    It is known while the server does not run, too.
    """
    found: str = remembered(file).get("environment", "")
    if found not in ("", environment):
        raise SlipwayError(
            f"{file} says that the database belongs to environment {found!r} but this inventory is {environment!r}: "
            "nothing was changed; use the right inventory, or the right state directory in this one."
        )
    return found


def check_identity(file: Path, identifier: str, environment: str) -> bool:
    """Whether ``file`` must be written; raises SlipwayError when it remembers another server or environment."""
    known = check_environment(file, environment)
    found = remembered(file).get("system_identifier")
    if found and found != identifier:
        raise SlipwayError(
            f"The server has system identifier {identifier or 'unknown'} but this environment lives on {found}: "
            f"its data may be missing (an empty or another volume); fix that, or delete {file} if the move is meant."
        )
    return bool(found != identifier or not known)


def check_start(file: Path, version: int, data: str, exists: bool) -> None:
    """Raise SlipwayError when a start would put another server in place of the one that ``file`` remembers.

    ``version`` is the major version to start, ``data`` names where its data lies, ``exists`` whether there is any.
    """
    found = remembered(file)
    major = re.match(r"\d*", found.get("server_version", ""))
    if major and major[0] not in ("", str(version)):
        raise SlipwayError(
            f"This environment's database lives on PostgreSQL {major[0]} but {version} is wanted: nothing was "
            f"changed; go back to {major[0]} (of a container to its image), take a backup, and restore it into a new "
            "environment."
        )
    if found and not exists:
        raise SlipwayError(
            f"{file} remembers this environment's server but its data, {data}, is not there, and an empty server would "
            f"take its place: bring the data back, or, when it is lost, delete {file}, deploy and restore a backup."
        )
