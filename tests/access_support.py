# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of rights share: a database whose names all need quoting, and its three roles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._access import Roles, quote
from conftest import Postgres
from modules import run_module
from psycopg2.extensions import connection as Connection

PASSWORD = "the-client-role's-password"
SCHEMA = 'Sche"ma %s'


@dataclass
class Site:
    """A database, its roles, and a place for the file that remembers its server."""

    postgres: Postgres
    database: str
    home: Path

    @property
    def roles(self) -> Roles:
        return Roles(f'{self.database} "owner"', f"{self.database}'s %s app", f"{self.database}_Read.Only")

    @property
    def identity_file(self) -> Path:
        return self.home / "state" / "database.json"

    @property
    def names(self) -> dict[str, object]:
        roles = self.roles
        return {
            **self.postgres.login(self.database),
            "owner": roles.owner,
            "application": roles.application,
            "readonly": roles.readonly,
            "schemas": ["public", SCHEMA],
        }

    def access(self, *, check: bool = False, **more: object) -> dict[str, Any]:
        own = {
            "environment_name": "test",
            "identity_file": str(self.identity_file),
            **{f"{kind}_password": PASSWORD for kind in ("owner", "application", "readonly")},
        }
        return run_module("database", {**self.names, **own, **more}, check=check)

    def info(self, **more: object) -> dict[str, Any]:
        return run_module("schema_info", {**self.names, **more})

    def connect(self, role: str) -> Connection:
        return self.postgres.connect(self.database, role, PASSWORD)

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        return self.postgres.execute(sql, self.database)

    def execute_as(self, role: str, sql: str) -> None:
        opened = self.connect(role)
        try:
            with opened.cursor() as cursor:
                cursor.execute(sql)
        finally:
            opened.close()

    def create_roles(self) -> None:
        for role in (self.roles.owner, self.roles.application, self.roles.readonly):
            password = PASSWORD.replace("'", "''")
            self.postgres.execute(f"CREATE ROLE {quote(role)} LOGIN PASSWORD '{password}'")
        self.postgres.execute(f"ALTER DATABASE {quote(self.database)} OWNER TO {quote(self.roles.owner)}")


def make_site(postgres: Postgres, home: Path) -> Site:
    """A fresh database, with its roles."""
    database = f'{postgres.database()} "x" %s'
    postgres.execute(f"CREATE DATABASE {quote(database)}")
    site = Site(postgres, database, home)
    site.create_roles()
    return site
