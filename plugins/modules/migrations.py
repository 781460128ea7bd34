#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``migrations``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migrations
short_description: Apply pending SQL migrations in Prisma's layout
version_added: 0.1.0
description:
  - Reads a directory of migrations (C(<name>/migration.sql)) on the controller, compares it with the history in
    C(_prisma_migrations), and applies what is pending, in order, under Prisma Migrate's own lock.
  - A migration and its row in the history are one transaction. One that fails leaves nothing behind but a row marked as
    rolled back with the error, so that the next run tries it again.
  - A migration with statements that PostgreSQL refuses in a transaction, such as C(CREATE INDEX CONCURRENTLY), is
    applied statement by statement. Its row stays unfinished until the last, and a later run goes on where it stopped.
  - A C(verify.sql) beside C(migration.sql) runs at the end of the same transaction; a statement that fails, or a query
    that gives a row whose first value is false, undoes the migration.
  - The files and the history stay Prisma's, to the byte. One can change between the two tools at any time.
  - Stops before it writes anything when one failed half-way under Prisma, when the database holds tables but no
    history, and, unless O(policy) says otherwise, when an applied migration was edited or is missing.
options:
  lock_wait:
    description: Seconds to wait for another run to end, Prisma's or Slipway's, before giving up with its name.
    type: float
    default: 60
  lock_timeout:
    description:
      - How long a statement may wait for a lock on a table, as PostgreSQL's C(lock_timeout).
      - All who want to use the table wait behind it for as long.
    type: str
    default: 2s
  lock_retry:
    description:
      - Seconds to go on trying a migration that can't get its locks within O(lock_timeout). Between two attempts, all
        who waited behind it go ahead.
      - Statements that make nobody wait, such as C(CREATE INDEX CONCURRENTLY), wait for as long at once.
    type: float
    default: 60
  statement_timeout:
    description:
      - How long one statement may run, as PostgreSQL's C(statement_timeout). Empty leaves the server's setting.
    type: str
    default: ""
  digest:
    description:
      - Which files are meant, as RV(slipway.deploy.migrations_info#module:digest). Stops when they were changed since,
        during the backup or the rehearsal, say.
    type: str
  snapshot:
    description:
      - Also keep the schema that the migrations make in C(slipway.schema_snapshot), for M(slipway.deploy.schema_drift)
        to compare with. What was changed by hand before them does not become part of it.
    type: bool
    default: false
  row_values:
    description: Whether messages may quote values of rows, which the server tells with some errors. Without it they are
      only in the history's column C(logs), when a migration failed.
    type: bool
    default: false
  rehearsal:
    description:
      - The database is a copy of another one. The first migration that changes more than its database, such as a role,
        and all after it run in a transaction that is rolled back, so that the server stays as it is.
      - Stops, with a warning, before what no rollback undoes (C(ALTER SYSTEM), C(CREATE DATABASE), C(dblink) and the
        like), and before what can't share that transaction.
    type: bool
    default: false
      - What each migration does to the tables that were there before it is in RV(rehearsal).
  live_login:
    description:
      - Where the database is that the rehearsed one is a copy of, on the same server or another one. How large its
        tables are and how much they are used meanwhile is read from it; nothing is written there.
      - The reader is O(watch_login) where that is given, since a role sees but its own queries in
        C(pg_stat_statements), else O(login_user).
    type: dict
    suboptions:
      login_host: {description: As O(login_host)., type: str, default: ""}
      login_port: {description: As O(login_port)., type: int, default: 5432}
      login_unix_socket: {description: As O(login_unix_socket)., type: path, default: ""}
      login_db: {description: The database., type: str, required: true}
      ssl_mode:
        description: As O(ssl_mode).
        type: str
        default: prefer
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      ca_cert: {description: As O(ca_cert)., type: path}
  blocking_limits:
    description:
      - Which lock on a table is a matter of the policy C(blocking). It is held for more than so many seconds in the
        rehearsal, and the table has more than so many megabytes, or more than so many statements a second would wait.
      - Without O(live_login), the size of the copy's table counts alone.
    type: dict
    suboptions:
      seconds:
        description: How long the lock may be held, from the statement that takes it to the end of its transaction. V(1)
          unless told otherwise. On the copy there is no traffic, so that the same takes rather longer on the live
          database.
        type: float
      megabytes:
        description: Size with all indexes, in units of 10⁶ bytes. V(100) unless told otherwise.
        type: float
      statements:
        description: Statements a second that would wait, as PostgreSQL counts them in C(pg_stat_user_tables), which are
          scans that are started and rows that are written; those that write where the lock lets readers pass. They are
          counted during the rehearsal, for 3 seconds at least where it matters. V(1) unless told otherwise.
        type: float
  require_backup:
    description:
      - Whether to stop, before anything is written, unless O(backup_directory) holds a backup of this very database, of
        the history as it is, proved by a restore, with its dump unaltered and, within a run of Slipway's playbooks,
        taken since that began. The manifests are read, and held against the database, by the module itself.
      - A database without a history, tables, sequences and large objects has nothing to lose and needs none.
    type: bool
    default: false
  backup_directory:
    description: Directory of M(slipway.deploy.backup) on the host. Needed with O(require_backup).
    type: path
  release:
    description: Name of the release that the migrations belong to, for the result.
    type: str
    default: ""
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
  - slipway.deploy.migration_policy
  - slipway.deploy.watch
attributes:
  check_mode:
    support: full
    details: The plan is made in a read-only session; neither the schema nor the history needs to exist.
  diff_mode:
    support: full
    details: Shows the SQL of the migrations that are applied or, in check mode, pending.
  idempotent:
    support: full
seealso:
  - module: slipway.deploy.migrations_info
requirements:
  - squawk-cli on the controller, unless O(policy.lint=allow)
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Apply the pending migrations
  slipway.deploy.migrations:
    path: "{{ playbook_dir }}/migrations"
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app

- name: Rehearse them on a restored copy, with little patience
  slipway.deploy.migrations:
    path: "{{ playbook_dir }}/migrations"
    lock_wait: 5
    lock_timeout: 500ms
    rehearsal: true
    login_host: 127.0.0.1
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app_rehearsal
"""

RETURN = r"""
actions:
  description: What was done or, in check mode, would be, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Applied 20250728210351_init in 0.031 s."]
effects:
  description:
    - What the migrations of a rehearsal lost of what the copy held before them, whatever their statements look like.
      The policy C(destructive) is about these, too.
    - Tables and columns that are gone, rows that are fewer, values that are gone or are all the same now, tables that
      are no longer logged. Values of tables over 8 MiB are not compared, and rows of those over 512 MiB not counted.
  returned: success
  type: list
  elements: dict
  contains:
    migration: {description: The migration's name., type: str}
    effect: {description: What it did., type: str}
rehearsal:
  description:
    - What each migration of a rehearsal did to the tables, partitions, views and materialized views that were there
      before it; nothing unless O(rehearsal). Where one failed, what those before it did.
  returned: always, once a migration was rehearsed
  type: list
  elements: dict
  contains:
    migration: {description: The migration's name., type: str}
    seconds: {description: How long it took., type: float}
    wal:
      description: Bytes of write-ahead log; like the bytes of the database none where a managed server does not say.
      type: int
    wal_own:
      description: Whether these are the bytes of this session, as PostgreSQL 18 and newer know them; else they are
        those of the whole server meanwhile.
      type: bool
    size_before: {description: Bytes of the database before it., type: int}
    size_after: {description: Bytes of the database after it., type: int}
    complete:
      description: Whether all its locks were seen. They are not where an earlier migration in the same transaction,
        which is rolled back, has such locks already, nor where the session that watches a statement outside of a
        transaction could not connect.
      type: bool
    tables:
      description: The tables that it locked.
      type: list
      elements: dict
      contains:
        table: {description: Name as SQL, with the schema, before the migration., type: str}
        locks:
          description: The locks, the longest first. What a C(mode) C(blocks) is V(reads and writes), V(writes) or
            nothing. C(seconds) are from the beginning of the statement that took it to the end of the transaction.
          type: list
          elements: dict
        rewritten: {description: Whether its rows were written anew to another file., type: bool}
        size_before: {description: Bytes with all indexes before., type: int}
        size_after: {description: Bytes after; none where it is gone., type: int}
        scans:
          description: How often it was read from its beginning; this and the next four from PostgreSQL 15 on.
          type: int
        rows_read: {description: Rows that these scans read., type: int}
        rows_inserted: {description: Rows that were inserted., type: int}
        rows_updated: {description: Rows that were updated., type: int}
        rows_deleted: {description: Rows that were deleted., type: int}
        live_size: {description: Bytes in O(live_login); none where that is not known., type: int}
        live_statements:
          description: Statements a second there, see O(blocking_limits); none where it took less than a second.
          type: float
        live_writes: {description: Those of them that write., type: float}
        live_queries:
          description: The three most frequent queries that name it, of a table that would keep them waiting, where
            C(pg_stat_statements) is installed.
          type: list
          elements: str
release:
  description: The option O(release).
  returned: success
  type: str
migrations:
  description: The state of the database against the files.
  returned: always, once the database was read
  type: dict
  contains:
    status:
      description:
        - V(up_to_date), V(pending), V(failed), V(edited), V(edited_whitespace), V(missing), V(ahead) (all that is
          missing is newer than the files) or V(unmanaged) (tables but no history).
      type: str
    applied:
      description: Names of the migrations that are applied.
      type: list
      elements: str
    pending:
      description: Names of those still to be applied, in order.
      type: list
      elements: str
    edited:
      description: Names of those whose file is not what was applied.
      type: list
      elements: str
    edited_whitespace:
      description:
        - Names of those whose file differs from what was applied only by blanks added at the ends of lines, or by white
          space at the start or end of the file, as far as the recorded checksum lets that be known.
        - Blanks removed from within the file count as V(edited).
      type: list
      elements: str
    missing:
      description: Names of those that are applied but have no file.
      type: list
      elements: str
    failed:
      description: Names of those that began and never ended.
      type: list
      elements: str
    rolled_back:
      description: Names of the pending ones that were tried or applied before and are marked as rolled back.
      type: list
      elements: str
    half_applied:
      description: Names of the pending ones of which some statements are done, and that the next run goes on with.
      type: list
      elements: str
    out_of_order:
      description: Names of the pending ones that come before the last applied one.
      type: list
      elements: str
    destructive:
      description: Names of the pending ones that lose data or rewrite a table of this database.
      type: list
      elements: str
    lint:
      description: What the linter says of the pending ones that matters to this database.
      type: list
      elements: dict
      contains:
        migration:
          description: The migration's name.
          type: str
        place:
          description: File, line and column.
          type: str
        rule:
          description: Squawk's name of the rule.
          type: str
        message:
          description: What it says.
          type: str
        waiver:
          description: The reason that the file gives for it, if any.
          type: str
    applied_now:
      description: What this run has applied.
      type: list
      elements: dict
      contains:
        name:
          description: The migration's name.
          type: str
        seconds:
          description: How long it took.
          type: float
        statements:
          description: How many of its statements were run.
          type: int
        rolled_back:
          description: Whether it was rolled back at the end of a rehearsal.
          type: bool
        attempts:
          description: How often it was tried; more than once because of locks held by others.
          type: int
        blockers:
          description: Who held the locks last, with C(pid), C(application), C(state), C(query), C(seconds)
            and C(role).
          type: list
          elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import LIMITS_SPEC, Limits
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import WATCH_SPEC, watcher_from_params
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files, Rehearsal, migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import POLICY_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._migration.preview import difference, preview
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import (
    PROOF_SPEC,
    context_from_params,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    LOCATION_SPEC,
    Server,
)


def work(module: AnsibleModule) -> dict[str, Any]:
    """Gather, plan, apply, report."""
    given = module.params
    server, files = Server.from_params(given), Files.from_params(given)
    files.insist_on(given["digest"])
    if module.check_mode:
        outcome = preview(server, files)
    else:
        settings = {name: given[name] for name in ("lock_timeout", "statement_timeout")}
        patience = Patience(given["lock_wait"], given["lock_retry"])
        context = context_from_params(given)
        live = server.at(given["live_login"]) if given["live_login"] else None
        rehearsal = Rehearsal(limits=Limits.from_params(given), live=live)
        outcome = migrate(
            server,
            files,
            patience,
            context,
            rehearsal=rehearsal if given["rehearsal"] else None,
            row_values=given["row_values"],
            watcher=watcher_from_params(server, given),
            **settings,
        )
    for warning in outcome.warnings:
        module.warn(warning)
    return {
        "changed": bool(outcome.actions),
        "actions": outcome.actions,
        "migrations": outcome.migrations,
        "effects": [] if module.check_mode else outcome.effects,
        "rehearsal": outcome.rehearsal,
        "release": given["release"],
        **({"diff": difference(files, outcome)} if module._diff and outcome.actions else {}),
    }


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "schema": {"type": "str", "default": "public"},
        "lock_wait": {"type": "float", "default": 60},
        "lock_timeout": {"type": "str", "default": "2s"},
        "lock_retry": {"type": "float", "default": 60},
        "statement_timeout": {"type": "str", "default": ""},
        "digest": {"type": "str"},
        "snapshot": {"type": "bool", "default": False},
        "row_values": {"type": "bool", "default": False},
        "rehearsal": {"type": "bool", "default": False},
        "live_login": LOCATION_SPEC,
        "release": {"type": "str", "default": ""},
        # What the action plugin read; large, and not for the target's log.
        "_payload": {"type": "str", "no_log": True},
    }
    spec = {**CONNECTION_SPEC, **POLICY_SPEC, **PROOF_SPEC, **WATCH_SPEC, **LIMITS_SPEC, **options}
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
