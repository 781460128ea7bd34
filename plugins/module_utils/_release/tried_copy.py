# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a database on which releases are tried, and where they and this host find it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, autocommit, sql_errors
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import AGAIN, derived_name
from ansible_collections.slipway.deploy.plugins.module_utils._release.trial import Place

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def place_of(server: Server) -> Place:
    """Where the relay reaches a server."""
    host = server.host or "localhost"
    return Place(server.socket_dir, host, server.port, server.ssl_mode, server.ca_cert or "")


def sought(params: Mapping[str, Any]) -> Place:
    """Where a release looks for its database, by the options ``sought_*`` of the module; by TLS if it needs that."""
    at = (params["sought_socket"] or "", params["sought_host"], params["sought_port"])
    if params["sought_ssl_mode"] not in ("require", "verify-ca", "verify-full"):
        return Place(*at)
    return Place(*at, params["sought_ssl_mode"], params["sought_ca"] or "")


@dataclass(frozen=True)
class TriedCopy:
    """A copy on a ``server``, which a ``role`` is to connect to; ``maintenance_db`` is another database there."""

    server: Server
    maintenance_db: str
    role: str

    @property
    def name(self) -> str:
        return self.server.database

    @property
    def writable(self) -> str:
        """The name of the copy of the copy, for requests that write before it is changed."""
        return derived_name(self.name, AGAIN)

    def prepare(self, *, writes: bool) -> None:
        """Let the role in, also to a copy of the copy where requests write. Raises SlipwayError."""
        with self._cursor("Preparing the copy") as cursor:
            if writes:
                databases.drop(cursor, self.writable)
                databases.copy(cursor, self.name, self.writable)
            for database in (self.name, self.writable) if writes else (self.name,):
                databases.admit(cursor, database, self.role)

    def settle(self) -> None:
        """End what the role has not ended, and drop the copy of the copy. Raises SlipwayError."""
        with self._cursor("Ending what a release has left open on the copy") as cursor:
            databases.end_transactions(cursor, self.name, self.role)
            databases.drop(cursor, self.writable)

    @contextlib.contextmanager
    def _cursor(self, doing: str) -> Iterator[Cursor]:
        with sql_errors(doing), autocommit(self.server.on(self.maintenance_db)) as cursor:
            yield cursor
