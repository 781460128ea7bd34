# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a server of our own asks in: its pg_hba.conf, of which the first line that fits decides (manual chapter 21)."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_DATABASES = ["all", "replication"]  # "all" is not about sessions that replicate the whole server
_BEGIN, _END = "# Slipway: begin, renewed by each deploy", "# Slipway: end"


@dataclass(frozen=True)
class Rule:
    """A line of the file as the server reads it (manual section 54.10, pg_hba_file_rules)."""

    line: int
    kind: str
    databases: list[str] | None
    roles: list[str] | None
    address: str | None
    method: str | None
    error: str | None = None

    def rejects(self, role: str) -> bool:
        """Whether it keeps the role from every database over TCP, encrypted or not."""
        said = (self.kind, self.databases, self.roles, self.address, self.method)
        return said == ("host", _DATABASES, [role], "all", "reject")


@dataclass(frozen=True)
class Clients:
    """Who comes from other hosts: a ``role``, from ``addresses`` such as 10.0.0.7 or 10.0.1.0/24, over TLS alone."""

    role: str
    addresses: tuple[str, ...]

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Clients | None:
        """From the options of the module ``database``; None where nobody comes from other hosts."""
        return cls(params["application"], tuple(params["clients"])) if params["address"] else None

    def lines(self, administrator: str) -> list[str]:
        """Rules for all that comes over a network; what is in the networks of the server's own host stays let in."""
        return [
            _BEGIN,
            reject(administrator),
            # With + its members too: the logins that work as it.
            *(f"hostssl all +{quote(self.role)} {_network(address)} scram-sha-256" for address in self.addresses),
            "host all all samenet scram-sha-256",
            f"host {','.join(_DATABASES)} all all reject",
            _END,
        ]


def _network(address: str) -> str:
    """As pg_hba.conf has it: with the length of its mask."""
    try:
        return str(ipaddress.ip_network(address))
    except ValueError as error:
        raise SlipwayError(
            f"database_clients has {address!r}, which is no IP address or network: give those from which the backends "
            "reach the database, such as 10.0.0.7 or 10.0.1.0/24."
        ) from error


def reject(role: str) -> str:
    """The rule that keeps a role off the network."""
    return f"host {','.join(_DATABASES)} {quote(role)} all reject"


def keep_off_the_network(
    cursor: Cursor, role: str, params: Mapping[str, Any], begin: bool
) -> tuple[list[SqlAction], list[str]]:
    """Statements after which the administrator is let in over the socket alone, and remarks.

    Where ``params``, the options of the module ``database``, name clients, nobody else comes from other hosts. The
    rules count for new sessions, without a restart. A file of the operator's own (setting ``hba_file``) is left as it
    is. Without ``begin`` rules are renewed that are there, and none is made. Raises SlipwayError when the server can't
    read its file.
    """
    cursor.execute(
        """
        SELECT current_setting('listen_addresses'), current_setting('hba_file'),
               starts_with(current_setting('hba_file'), current_setting('data_directory') || '/'),
               (SELECT modification FROM pg_catalog.pg_stat_file(current_setting('hba_file')))
                 > pg_catalog.pg_conf_load_time(),
               pg_catalog.pg_read_file(current_setting('hba_file'))
        """
    )
    addresses, file, own, unread, text = one_row(cursor)
    if not addresses:
        return [], []
    cursor.execute(
        "SELECT line_number, type, database, user_name, address, auth_method, error"
        " FROM pg_catalog.pg_hba_file_rules() WITH ORDINALITY ORDER BY ordinality"
    )
    rules = [Rule(*row) for row in cursor.fetchall()]
    if not begin and not any(rule.rejects(role) for rule in rules):
        return [], []
    return plan(rules, role, file, own=own, unread=unread, text=text, clients=Clients.of(params))


def plan(
    rules: list[Rule], role: str, file: str, *, own: bool, unread: bool, text: str = "", clients: Clients | None = None
) -> tuple[list[SqlAction], list[str]]:
    """The same from what the server says of its ``file``: whether it is its ``own``, still ``unread``, its ``text``."""
    broken = next((rule for rule in rules if rule.error), None)
    if broken:
        raise SlipwayError(
            f"The server can't read line {broken.line} of {file} ({broken.error}), and would not start again: correct "
            "the line and run again."
        )
    reload = SqlAction("SELECT pg_catalog.pg_reload_conf()", f"Had the server read {file} again.")
    first = next((rule for rule in rules if rule.kind != "local"), None)
    lines = clients.lines(role) if clients else [reject(role)]
    there = text.startswith("\n".join(lines) + "\n") if clients else _BEGIN not in text
    if there and (first is None or first.rejects(role)):
        return [reload] if unread else [], []
    if not own and clients:
        return [], [f"{file} is not Slipway's: begin it with these lines: {'; '.join(lines[1:-1])}"]
    if not own:
        return [], [f"{file} is not Slipway's: to keep {role} off the network, make this its first line: {lines[0]}"]
    done = f"Made {file} let {role} in over the socket alone"
    done += f", and from other hosts {clients.role} from {', '.join(clients.addresses)}." if clients else "."
    return [SqlAction(prepend(lines, file), done), reload], []


def prepend(lines: list[str], file: str) -> str:
    """SQL that puts lines before all others of a file of the server's, which is replaced as a whole or not at all.

    Those that were put there before, between two marks, go.
    """
    there, new = shlex.quote(file), shlex.quote(f"{file}.slipway")
    said = " ".join(shlex.quote(line) for line in lines)
    rest = f"sed {shlex.quote(f'/^{_BEGIN}/,/^{_END}/d')} {there}"
    command = f"{{ printf '%s\\n' {said} && {rest}; }} > {new} && sync && mv {new} {there}"
    return f"COPY (SELECT WHERE false) TO PROGRAM {literal(command)}"
