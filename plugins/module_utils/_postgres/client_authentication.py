# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a server of our own asks in: its pg_hba.conf, of which the first line that fits decides (manual chapter 21)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_DATABASES = ["all", "replication"]  # "all" is not about sessions that replicate the whole server


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


def keep_off_the_network(cursor: Cursor, role: str) -> tuple[list[SqlAction], list[str]]:
    """Statements after which the administrator is let in over the socket alone, and remarks.

    The rule counts for new sessions, without a restart. A file of the operator's own (setting ``hba_file``) is left as
    it is. Raises SlipwayError when the server can't read its file.
    """
    cursor.execute(
        """
        SELECT current_setting('listen_addresses'), current_setting('hba_file'),
               starts_with(current_setting('hba_file'), current_setting('data_directory') || '/'),
               (SELECT modification FROM pg_catalog.pg_stat_file(current_setting('hba_file')))
                 > pg_catalog.pg_conf_load_time()
        """
    )
    addresses, file, own, unread = one_row(cursor)
    if not addresses:
        return [], []
    cursor.execute(
        "SELECT line_number, type, database, user_name, address, auth_method, error"
        " FROM pg_catalog.pg_hba_file_rules() WITH ORDINALITY ORDER BY ordinality"
    )
    return plan([Rule(*row) for row in cursor.fetchall()], role, file, own=own, unread=unread)


def plan(rules: list[Rule], role: str, file: str, *, own: bool, unread: bool) -> tuple[list[SqlAction], list[str]]:
    """The same from what the server says of its ``file``: whether it is its ``own``, and still ``unread``."""
    broken = next((rule for rule in rules if rule.error), None)
    if broken:
        raise SlipwayError(
            f"The server can't read line {broken.line} of {file} ({broken.error}), and would not start again: correct "
            "the line and run again."
        )
    reload = SqlAction("SELECT pg_catalog.pg_reload_conf()", f"Had the server read {file} again.")
    first = next((rule for rule in rules if rule.kind != "local"), None)
    if first is None or first.rejects(role):
        return [reload] if unread else [], []
    line = f"host {','.join(_DATABASES)} {quote(role)} all reject"
    if not own:
        return [], [f"{file} is not Slipway's: to keep {role} off the network, make this its first line: {line}"]
    return [SqlAction(prepend(line, file), f"Made {file} let {role} in over the socket alone."), reload], []


def prepend(line: str, file: str) -> str:
    """SQL that puts a line before all others of a file of the server's, which is replaced as a whole or not at all."""
    there, new = shlex.quote(file), shlex.quote(f"{file}.slipway")
    command = f"{{ printf '%s\\n' {shlex.quote(line)} && cat {there}; }} > {new} && sync && mv {new} {there}"
    return f"COPY (SELECT WHERE false) TO PROGRAM {literal(command)}"
