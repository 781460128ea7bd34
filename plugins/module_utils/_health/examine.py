# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes every check of a database's health: reads, and writes nothing."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import Roles
from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import age
from ansible_collections.slipway.deploy.plugins.module_utils._certificate import lifetime
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import Finding, Measure, Rule, judge, unknown
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import existing
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import collations
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    connection,
    one_row,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger
from ansible_collections.slipway.deploy.plugins.module_utils._schema import snapshot, tables
from ansible_collections.slipway.deploy.plugins.module_utils._schema.inspection import login_refused

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# No check waits for a lock, or makes the server work, for longer.
SETTINGS = {"lock_timeout": "2s", "statement_timeout": "30s"}
STATEMENTS = 5  # the slowest that are told


@dataclass(frozen=True)
class Examined:
    """The database as its owner and as the administrator see it, and the module's options (see the module)."""

    owner: Cursor
    admin: Cursor
    server: Server
    params: Mapping[str, Any]

    @property
    def roles(self) -> Roles:
        return Roles(self.params["owner"], self.params["application"], self.params["readonly"])


def examine(server: Server, params: Mapping[str, Any], rules: Sequence[Rule]) -> list[Finding]:
    """A finding for each of the rules, in their order."""
    named = {rule.name: rule for rule in rules}
    findings: dict[str, Finding] = {}
    with contextlib.ExitStack() as stack:
        begin = time.monotonic()
        try:
            owner = stack.enter_context(reading(server))
            seconds = time.monotonic() - begin
            admin = stack.enter_context(reading(server.by(params["admin_login"])))
        except SlipwayError as error:
            findings["server"] = Finding(named["server"], "critical", None, (), str(error))
            examined = None
        else:
            findings["server"] = judge(named["server"], [Measure(f"database {server.database}", seconds)])
            examined = Examined(owner, admin, server, params)
        for name, rule in named.items():
            if name not in findings:
                findings[name] = _examine(rule, examined, params)
    return [findings[rule.name] for rule in rules]


@contextlib.contextmanager
def reading(server: Server) -> Iterator[Cursor]:
    """A cursor that can't write."""
    with connection(server, "slipway health", **SETTINGS) as opened, opened.cursor() as cursor:
        opened.set_session(readonly=True, autocommit=True)
        yield cursor


def _examine(rule: Rule, examined: Examined | None, params: Mapping[str, Any]) -> Finding:
    if examined is None and rule.name not in OF_THE_HOST:
        return unknown(rule)
    try:
        with sql_errors("The check"):
            if rule.name in OF_THE_HOST:
                return judge(rule, OF_THE_HOST[rule.name](examined, params))
            assert examined is not None
            measure = MEASURED.get(rule.name, by_sql)
            return judge(rule, measure(examined, rule))
    except SlipwayError as error:
        return unknown(rule, str(error))


def by_sql(examined: Examined, rule: Rule) -> list[Measure]:
    """What the rule's own statement gives."""
    cursor = examined.admin if rule.server else examined.owner
    if "pg_stat_activity" in rule.sql:
        insist_on_sessions(cursor)
    cursor.execute(rule.sql, dict(rule.options))
    return [measured(*row) for row in cursor.fetchall()]


def insist_on_sessions(cursor: Cursor) -> None:
    """Raise SlipwayError for a role from which the server hides what others do (manual, section 27.2)."""
    cursor.execute(
        "SELECT current_user, rolsuper OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
        " FROM pg_roles WHERE rolname = current_user"
    )
    name, sees = one_row(cursor)
    if not sees:
        raise SlipwayError(f"role {name} does not see the sessions of others: GRANT pg_read_all_stats TO {quote(name)}")


def measured(name: object, value: Any = 1, note: object = "") -> Measure:
    """A row of a statement: the columns that it leaves out say nothing more."""
    return Measure(str(name), float(value or 0), " ".join(str(note or "").split()))


def rights(examined: Examined, _rule: Rule) -> list[Measure]:
    """A sentence for each way in which a client role can change the schema or can't work."""
    known = tables.Rights(snapshot.rights(examined.owner))
    found, _remarks = tables.violations(examined.owner, examined.roles, known)
    return [Measure(each) for each in found + login_refused(examined.server, examined.params)]


def sorting(examined: Examined, _rule: Rule) -> list[Measure]:
    """A sentence where the system sorts text otherwise than when the indexes were made."""
    found = collations.changed(examined.owner)
    return [Measure(found)] if found else []


def slow_statements(examined: Examined, rule: Rule) -> list[Measure]:
    """The application's slowest statements by their mean time; not the administrator's, such as a dump's."""
    cursor = examined.admin
    cursor.execute(
        "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace"
        " WHERE extname = 'pg_stat_statements'"
    )
    row = cursor.fetchone()
    if row is None:
        raise SlipwayError(
            "the database has no extension pg_stat_statements: preload it (shared_preload_libraries) and create it to "
            "see the slowest statements"
        )
    cursor.execute(
        f"""
        SELECT 'statement ' || queryid, milliseconds / 1000, calls || ' calls of ' || left(query, 100)
          FROM (SELECT s.*, coalesce(to_jsonb(s) ->> 'mean_exec_time', to_jsonb(s) ->> 'mean_time')::float8
                            AS milliseconds
                  FROM {quote(row[0])}.pg_stat_statements s
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND userid <> to_regrole(quote_ident(current_user)) AND calls >= %(calls)s) s
         ORDER BY milliseconds DESC LIMIT {STATEMENTS}
        """,
        dict(rule.options),
    )
    return [measured(*row) for row in cursor.fetchall()]


def disk(examined: Examined | None, params: Mapping[str, Any]) -> list[Measure]:
    """How full the disks of the state directory and of the server's data are, where that can be seen from here."""
    usage = shutil.disk_usage(existing(Path(params["directory"])))
    spaces = {f"state directory {params['directory']}": (usage.used, usage.free)}
    if examined is not None:
        examined.admin.execute("SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory')")
        data = one_row(examined.admin)[0] or ""
        found = Client(examined.server, 0, container=params["container"] or "").space(data)
        if found is not None:
            spaces[f"data directory {data}"] = found
    return [Measure(name, used / max(1, used + free)) for name, (used, free) in spaces.items()]


def backup_age(_examined: Examined | None, params: Mapping[str, Any]) -> list[Measure]:
    """The age of the newest backup that is proved and whole; of the first deploy where none was taken yet."""
    now = datetime.datetime.now(datetime.timezone.utc)
    ours = (params["application_name"], params["environment_name"])
    ages = {
        entry.name: age(entry.manifest, now)
        for entry in store.entries(Path(params["backup_directory"]))
        if entry.manifest and entry.manifest.proved and not entry.problem
        and (entry.manifest.application, entry.manifest.environment) == ours
    }  # fmt: skip
    if ages:
        newest = min(ages, key=ages.__getitem__)
        return [Measure(f"backup {newest}", ages[newest])]
    first = Ledger(Path(params["directory"])).oldest(status="succeeded")
    if first is None:
        raise SlipwayError("no backup was taken, and no run has succeeded here yet")
    since = datetime.datetime.fromisoformat(first["finished"])
    return [Measure("no backup since the first run", (now - since).total_seconds())]


def certificate(_examined: Examined | None, params: Mapping[str, Any]) -> list[Measure]:
    """For how long the site's certificate is valid, here and on other hosts; nothing where it has none."""
    now = time.time()
    for host, ends in params["certificates"].items():
        if isinstance(ends, str):
            raise SlipwayError(f"the certificate on host {host} can't be read: {ends}")
    others = [Measure(f"on host {host}", ends - now) for host, ends in params["certificates"].items()]
    return [*_valid_for(params["certificate"]), *others]


def database_certificate(_examined: Examined | None, params: Mapping[str, Any]) -> list[Measure]:
    """For how long the one is valid by which other hosts know the database; nothing where none of them comes."""
    return _valid_for(params["database_certificate"])


def _valid_for(file: str) -> list[Measure]:
    found = lifetime.of(read(file)) if file else None
    if file and found is None:
        raise SlipwayError(f"there is no certificate in {file}: deploy first")
    return [Measure(file, found.ends - time.time())] if found else []


MEASURED: dict[str, Callable[[Examined, Rule], list[Measure]]] = {
    "rights": rights,
    "collations": sorting,
    "slow_statements": slow_statements,
}
OF_THE_HOST: dict[str, Callable[[Examined | None, Mapping[str, Any]], list[Measure]]] = {
    "disk": disk,
    "backup_age": backup_age,
    "certificate": certificate,
    "database_certificate": database_certificate,
}
