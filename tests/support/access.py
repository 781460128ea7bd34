# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of rights share: a database whose names all need quoting, and its three roles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import Roles
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from conftest import Postgres
from psycopg2.extensions import connection as Connection
from support.modules import run_module

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
    def rights(self) -> list[tuple[object, ...]]:
        """Every list of rights in the database, every owner, and what the database is marked with."""
        return self.execute(
            """
            SELECT 'database', datname, datdba::regrole::text, array(SELECT unnest(datacl)::text ORDER BY 1)::text
              FROM pg_database
             WHERE datname = current_database()
            UNION ALL SELECT 'schema', nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace
             WHERE nspname !~ '^(pg_|information_schema)'
            UNION ALL SELECT 'relation', oid::regclass::text, relowner::regrole::text,
                             array(SELECT unnest(relacl)::text ORDER BY 1)::text FROM pg_class
             WHERE relnamespace <> ALL ('{pg_catalog,pg_toast,information_schema}'::regnamespace[])
            UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, '', attacl::text FROM pg_attribute
             WHERE attacl IS NOT NULL AND attrelid >= 16384
            UNION ALL SELECT 'function', oid::regprocedure::text, proowner::regrole::text, proacl::text FROM pg_proc
             WHERE oid >= 16384
            UNION ALL SELECT 'type', oid::regtype::text, typowner::regrole::text, typacl::text FROM pg_type
             WHERE oid >= 16384
            UNION ALL SELECT 'default', defaclnamespace::regnamespace || defaclobjtype::text, defaclrole::regrole::text,
                             defaclacl::text FROM pg_default_acl
            UNION ALL SELECT 'comment', '', '', description FROM pg_shdescription
             WHERE objoid = (SELECT oid FROM pg_database WHERE datname = current_database())
            ORDER BY 1, 2
            """
        )

    @property
    def names(self) -> dict[str, object]:
        roles = self.roles
        return {
            **self.postgres.login(self.database),
            "owner": roles.owner,
            "application": roles.application,
            "readonly": roles.readonly,
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
