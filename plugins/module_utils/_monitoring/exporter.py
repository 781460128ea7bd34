# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's postgres_exporter as a service of its own: the unit, its environment, and what is measured of tables."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server

PROGRAM = "/usr/bin/prometheus-postgres-exporter"
ADDRESS = "127.0.0.1"
# What the program is told beside its environment, so that a change of either is one of its environment.
DIGEST = "SLIPWAY_DIGEST"

_COUNTERS = {
    "seq_scan": "Scans that read all of the table",
    "seq_tup_read": "Live rows that those read",
    "idx_scan": "Scans of an index of the table",
    "idx_tup_fetch": "Live rows that those fetched",
    "n_tup_ins": "Rows inserted",
    "n_tup_upd": "Rows updated",
    "n_tup_del": "Rows deleted",
    "n_tup_hot_upd": "Rows updated without a new entry in an index",
    "vacuum_count": "Times that somebody vacuumed it",
    "autovacuum_count": "Times that autovacuum vacuumed it",
    "analyze_count": "Times that somebody analyzed it",
    "autoanalyze_count": "Times that autovacuum analyzed it",
}
_GAUGES = {
    "n_live_tup": "Live rows, estimated",
    "n_dead_tup": "Dead rows, estimated",
    "n_mod_since_analyze": "Rows changed since it was analyzed, estimated",
}
_TIMES = {
    "last_vacuum": "When somebody vacuumed it, in seconds since 1970",
    "last_autovacuum": "When autovacuum vacuumed it, in seconds since 1970",
    "last_analyze": "When somebody analyzed it, in seconds since 1970",
    "last_autoanalyze": "When autovacuum analyzed it, in seconds since 1970",
}
_SIZES = {"table": "Bytes of the table with its TOAST", "indexes": "Bytes of its indexes"}


def tables_query() -> str:
    """For a version that does not measure tables by itself: the metrics that later ones have, in its file's format.

    That is YAML, of which JSON is a part.
    """
    columns = [
        "current_database() AS datname",
        "schemaname",
        "relname",
        *_COUNTERS,
        *_GAUGES,
        *(f"coalesce(extract(epoch FROM {name}), 0) AS {name}" for name in _TIMES),
        *(f"pg_{size}_size(relid) AS {size}_size_bytes" for size in _SIZES),
    ]
    described = {
        **dict.fromkeys(("datname", "schemaname", "relname"), ("LABEL", "")),
        **{name: ("COUNTER", text) for name, text in _COUNTERS.items()},
        **{name: ("GAUGE", text) for name, text in {**_GAUGES, **_TIMES}.items()},
        **{f"{size}_size_bytes": ("GAUGE", text) for size, text in _SIZES.items()},
    }
    query = {
        "query": f"SELECT {', '.join(columns)} FROM pg_stat_user_tables",
        "metrics": [{name: {"usage": kind, "description": text}} for name, (kind, text) in described.items()],
    }
    return json.dumps({"pg_stat_user_tables": query}, indent=2) + "\n"


@dataclass(frozen=True)
class Exporter:
    """One exporter: as which role it reads which database, and where.

    ``encrypted`` says whether the server speaks TLS with this host, ``options`` what the program's version knows: the
    names of its options.
    """

    service: str
    directory: str
    port: int
    server: Server
    server_version: int
    encrypted: bool
    options: frozenset[str]

    @property
    def listens(self) -> str:
        """The argument that says where, by which a process that runs is known."""
        return f"--web.listen-address={ADDRESS}:{self.port}"

    @property
    def queries(self) -> str:
        """The file with the queries that this version needs beside its own, or nothing."""
        return "" if "collector.stat_user_tables" in self.options else tables_query()

    @property
    def _place(self) -> str:
        """Where the unit alone sees what lies in directories that only root may enter."""
        return f"/run/{self.service}"

    @property
    def arguments(self) -> list[str]:
        own = [self.listens]
        if self.queries:
            own.append(f"--extend.query-path={self._place}/queries.yaml")
        # Version 17 of PostgreSQL took columns away that this collector reads; later exporters have another one.
        if "collector.bgwriter" in self.options and self.server_version >= 170000:
            own.append("--no-collector.bgwriter")
        return own

    @property
    def unit(self) -> str:
        """The unit of systemd. Its user exists while it runs and owns nothing; it sees what is mounted for it."""
        mounts = {self.server.socket_dir: "socket"} if self.server.socket_dir else {}
        mounts |= {f"{self.directory}/queries.yaml": "queries.yaml"} if self.queries else {}
        mounted = "".join(f"BindReadOnlyPaths={word(path)}:{self._place}/{to}\n" for path, to in mounts.items())
        return f"""\
# Written by Slipway.
[Unit]
Description=Statistics of database {escaped(self.server.database)} for Prometheus
After=network-online.target docker.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
DynamicUser=yes
EnvironmentFile={escaped(self.directory)}/environment
ExecStart={" ".join([PROGRAM, *self.arguments])}
{mounted}Restart=always
RestartSec=5
CapabilityBoundingSet=
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
MemoryMax=256M

[Install]
WantedBy=multi-user.target
"""

    @property
    def environment(self) -> dict[str, str]:
        """What the program is started with. The password is for Go's driver alone: the program chokes on quotes."""
        certificate = {"PGSSLROOTCERT": self.server.ca_cert} if self.server.ca_cert and self.encrypted else {}
        return {
            "DATA_SOURCE_NAME": self.address,
            "PGPASSWORD": self.server.password,
            **certificate,
            DIGEST: hashlib.sha256(f"{self.unit}{self.queries}".encode()).hexdigest(),
        }

    @property
    def address(self) -> str:
        """The database as a URL; Go's driver knows neither allow nor prefer."""
        mode = self.server.ssl_mode if self.encrypted else "disable"
        options = {
            "host": f"{self._place}/socket" if self.server.socket_dir else self.server.host or "localhost",
            "port": str(self.server.port),
            "sslmode": "require" if mode in ("allow", "prefer") else mode,
            "application_name": "postgres_exporter",
        }
        user, database = (quote(each, safe="") for each in (self.server.user, self.server.database))
        return f"postgresql://{user}@/{database}?{urlencode(options)}"


def escaped(text: str) -> str:
    """A text in a unit, where % begins a specifier (systemd.unit, section SPECIFIERS)."""
    return text.replace("%", "%%")


def word(text: str) -> str:
    """One word of a setting that takes several (systemd.syntax, section QUOTING)."""
    return '"' + escaped(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def environment_file(values: dict[str, str]) -> str:
    """An EnvironmentFile with each value in double quotes, as in a shell (systemd.exec)."""
    lines = []
    for name, value in values.items():
        quoted = re.sub(r'(["\\$`])', r"\\\1", value)
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines)


def known_options(help_text: str) -> frozenset[str]:
    """The long options in the program's own list of them."""
    return frozenset(re.findall(r"--(?:\[no-\])?([\w.-]+)", help_text))


def reaches_server(metrics: str) -> bool:
    """Whether the exporter's answer says that the database let it in."""
    return bool(re.search(r"^pg_up(\{.*\})? 1$", metrics, re.MULTILINE))
