# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator's session on a database is told: as whom, where, and by which way."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.tunnel import opened, probe

READ_ONLY = "read-only"
# libpq's names of what a connection needs, and of the environment variables for it (manual, section 34.15).
ENVIRONMENT = {
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
    "dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "options": "PGOPTIONS",
    "application_name": "PGAPPNAME", "connect_timeout": "PGCONNECT_TIMEOUT",
}  # fmt: skip


@dataclass(frozen=True)
class Session:
    """A session as the program in the operator's terminal gets it.

    ``access`` is the role's kind in words. ``tunnel`` and ``probe`` are the commands that reach the database from here
    through ``host``; empty where it is reached directly. ``ca`` is the text of a certificate authority that lies on
    that host. ``options`` are the program's own.
    """

    label: str
    access: str
    server: Server
    host: str = ""
    tunnel: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    ca: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Session:
        """The reverse of ``dataclasses.asdict``, after JSON."""
        commands = {name: tuple(given[name]) for name in ("tunnel", "probe")}
        return cls(**{**given, **commands, "server": Server(**given["server"])})

    def settings(self) -> dict[str, str]:
        """libpq's settings, as they are without a tunnel."""
        server = self.server
        found = {
            "host": server.socket_dir or server.host or "localhost",
            "port": str(server.port),
            "user": server.user,
            "password": server.password,
            "dbname": server.database,
            "sslmode": server.ssl_mode,
            "connect_timeout": str(server.connect_timeout),
            "application_name": f"slipway {self.access}",
        }
        if server.ca_cert:
            found["sslrootcert"] = server.ca_cert
        if self.access == READ_ONLY:  # besides what the role may do
            found["options"] = "-c default_transaction_read_only=on"
        return found

    @contextlib.contextmanager
    def reach(self) -> Iterator[dict[str, str]]:
        """libpq's settings for a ``with`` block, through a tunnel that is open as long, where it takes one."""
        settings = self.settings()
        if not self.tunnel:
            yield settings
            return
        probe(self.probe, self.host)
        over_socket = bool(self.server.socket_dir)
        with contextlib.ExitStack() as stack:
            way = stack.enter_context(opened(self.tunnel, over_socket, self.server.port))
            if over_socket:
                settings["host"] = way.directory
            else:  # the host's name stays, for its certificate
                settings |= {"hostaddr": "127.0.0.1", "port": str(way.port)}
            if self.ca:
                file = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="slipway-ca-", suffix=".crt"))
                Path(file.name).write_text(self.ca)
                settings["sslrootcert"] = file.name
            yield settings
