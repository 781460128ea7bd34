# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of an application's database with their rows, and the rights of its roles, in one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import Roles, stamp
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import collations
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    LOGIN_SPEC,
    Server,
    connect,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._schema import snapshot, tables
from ansible_collections.slipway.deploy.plugins.module_utils._schema.relations import relations

ROLES_SPEC: dict[str, dict[str, Any]] = {
    "owner": {"type": "str", "required": True},
    "application": {"type": "str", "required": True},
    "application_login": {"type": "str", "default": ""},
    "application_password": {"type": "str", "no_log": True},
    "readonly": {"type": "str", "required": True},
}
INSPECTION_SPEC: dict[str, dict[str, Any]] = {**ROLES_SPEC, "count_login": LOGIN_SPEC}


def inspect(server: Server, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the module ``schema_info`` returns as ``schema``, by the options of ``INSPECTION_SPEC``.

    Writes nothing. Raises SlipwayError when the database can't be reached or read.
    """
    roles = Roles(params["owner"], params["application"], params["readonly"])
    doing = f"Reading database {server.database!r} as role {server.user!r}"
    with sql_errors(doing), connection(server, **tables.UNHIDDEN) as opened, opened.cursor() as cursor:
        # On autocommit the locks of what is counted go with each statement, and a server has only so many.
        opened.set_session(readonly=True, autocommit=True)
        found = tables.all_tables(cursor, server, params["count_login"])
        shape = relations(cursor)
        violations, remarks = tables.violations(cursor, roles, tables.Rights(snapshot.rights(cursor)))
        return {
            "collations": collations.changed(cursor),
            "empty": all(table.rows == 0 for table in found),
            "environment": stamp(cursor),
            "relations": None if shape is None else [asdict(each) for each in shape],
            "remarks": remarks,
            "rows": sum(table.rows or 0 for table in found),
            "tables": [asdict(table) for table in found],
            "uncounted": [
                f"Table {table.schema}.{table.name} can't be counted, because {table.hidden}."
                for table in found
                if table.hidden
            ],
            "violations": violations + login_refused(server, params),
        }


def login_refused(server: Server, params: Mapping[str, Any]) -> list[str]:
    """A sentence when the server does not let the application in."""
    login = params["application_login"] or params["application"]
    password = params["application_password"]
    if password is None:
        return []
    try:
        connect(replace(server, user=login, password=password)).close()
    except SlipwayError as error:
        return [str(error)]
    return []
