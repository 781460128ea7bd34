#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
author: The Slipway contributors
short_description: List backups and what is wrong with them
description:
  - Reads the manifests that M(slipway.deploy.backup) left in a directory and looks at their dumps. Needs no server.
  - With O(offsite) it also lists what is in a repository away from this host.
  - With O(login) it also says which of the roles that a backup names a server lacks.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.offsite
  - slipway.deploy.interrupted
options:
  directory:
    description: Directory of backups on the host. One that is not there holds no backup.
    type: path
    required: true
  application:
    description: List only backups of this application.
    type: str
  choose:
    description:
      - Name of a backup, or V(latest), that M(slipway.deploy.restore) would restore; see RV(chosen).
      - It is an error when there is none that is proved, whole, and of O(application) and O(environment_name).
    type: str
  environment_name:
    description: List only backups of this environment.
    type: str
  from_environment:
    description: Backups of this environment instead, as M(slipway.deploy.restore) would take over its data.
    type: str
  verify:
    description:
      - Read every dump and compare its SHA-256 with the manifest's; with O(offsite) also check the repository and read
        every copy that is there.
    type: bool
    default: false
  max_age:
    description:
      - Hours that the newest proved backup may be old. With it RV(problems) says whether there is a backup to rely on,
        of O(application) and O(environment_name); with O(offsite) it has to be there as well.
    type: float
  drill_max_age:
    description: Hours that the last drill may be old, with O(max_age); where it is not given no drill is expected.
    type: float
  ping_url:
    description: URL of a dead man's switch, told of what O(max_age) finds, with C(/fail) after it.
    type: str
    default: ""
  login:
    description:
      - How to reach the server that the backups are to be restored on, by the options of M(slipway.deploy.restore).
      - A backup that names roles which are missing there has that as its problem.
    type: dict
    suboptions:
      login_host: {description: Address., type: str, default: ""}
      login_port: {description: Port., type: int, default: 5432}
      login_unix_socket: {description: Directory of the socket; it goes before the address., type: path, default: ""}
      login_user: {description: Role., type: str, required: true}
      login_password: {description: Its password., type: str, default: ""}
      login_db: {description: A database; the roles are the whole server's., type: str, required: true}
      ssl_mode:
        description: As libpq's sslmode.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: prefer
      ca_cert: {description: File of the certificate authority., type: path}
      connect_timeout: {description: Seconds., type: int, default: 10}
seealso:
  - module: slipway.deploy.backup
"""

EXAMPLES = r"""
- name: List the backups and check their content
  slipway.deploy.backup_info:
    directory: /var/lib/slipway/autotest/test/backups
    verify: true
    login:
      login_unix_socket: /var/lib/slipway/autotest/test/run
      login_user: postgres
      login_password: "{{ postgres_superuser_password }}"
  register: found
"""

RETURN = r"""
backups:
  description: The backups, oldest first.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Name of the backup., type: str}
    proved:
      description: Whether it was restored and compared when it was taken, and nothing was found wrong with it now.
      type: bool
    problem: {description: What is wrong with it; empty when nothing is., type: str}
    where: {description: "Where its files are: V(here), V(away) or V(both).", type: str}
    age: {description: Seconds since its snapshot., type: int}
    size: {description: Bytes of its dump according to its manifest., type: int}
    started: {description: When its snapshot was taken (UTC)., type: str}
    application: {description: Its application., type: str}
    environment: {description: Its environment., type: str}
    database: {description: Its database., type: str}
    release: {description: Its release., type: str}
    revision:
      description: Commit of the release's source, with C(-dirty) after it where files were changed; empty if not known.
      type: str
    server_version: {description: Version of the server that it was taken from., type: str}
    rows: {description: Rows of all tables., type: int}
    migrations: {description: Migrations that were applied., type: list, elements: str}
    unproved: {description: What the restored copy did not have as the database did., type: list, elements: str}
chosen:
  description: The one of RV(backups) that O(choose) names.
  type: dict
  returned: where O(choose) is given
offsite:
  description: The repository away from this host.
  type: dict
  returned: success
  contains:
    problem: {description: Why it can't be read; empty when it can or there is none., type: str}
problems:
  description: What is not as it should be, one sentence each.
  type: list
  elements: str
  returned: where O(max_age) is given
drill:
  description: The last drill of M(slipway.deploy.backup_schedule); empty where there was none.
  type: dict
  returned: success
  contains:
    at: {description: When it began (UTC)., type: str}
    backup: {description: The backup that was restored., type: str}
    where: {description: "Where that was: V(here) or V(away).", type: str}
    seconds: {description: How long it took., type: float}
    problem: {description: What was wrong; empty when nothing was., type: str}
without_manifest:
  description: Files in the directory that end in C(.dump) and that no manifest vouches for.
  type: list
  elements: str
  returned: success
"""

import contextlib
import datetime
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import drill, freshness, offsite, store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import age
from ansible_collections.slipway.deploy.plugins.module_utils._backup.scheduled import ping
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interrupted import INTERRUPTED_SPEC, ending

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

SHOWN = (
    "size", "started", "application", "environment", "database", "release", "server_version", "rows", "migrations",
    "revision", "unproved",
)  # fmt: skip


# The roles are the cluster's, and the database may not be there yet.
ANYWHERE = {"login_db": "postgres"}


def summary(entry: store.Entry, where: str, now: datetime.datetime, admin: Cursor | None) -> dict[str, Any]:
    """One backup as the result shows it; a manifest that can't be read has a name and a problem only."""
    found: dict[str, Any] = {"name": entry.name, "proved": False, "problem": entry.problem, "where": where}
    if entry.manifest is not None:
        if admin is not None and not entry.problem:
            found["problem"] = databases.missing_roles(admin, entry.manifest.roles, entry.manifest.role_definitions)
        found["proved"] = entry.manifest.proved and not found["problem"]
        found["age"] = age(entry.manifest, now)
        found.update({key: getattr(entry.manifest, key) for key in SHOWN})
    return found


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    now = datetime.datetime.now(datetime.timezone.utc)
    there = offsite.look(params, verify=params["verify"])
    with sql_errors("Looking for the roles of the backups"), contextlib.ExitStack() as stack:
        login = params["login"]
        admin = stack.enter_context(autocommit(Server.from_params({**login, **ANYWHERE}))) if login else None
        found = [summary(entry, there.where(entry.name), now, admin) for entry in there.entries]
    for key, wanted in (
        ("application", params["application"]),
        ("environment", params["from_environment"] or params["environment_name"]),
    ):
        # What can't be read may be anyone's and is always shown.
        found = [backup for backup in found if wanted is None or backup.get(key, wanted) == wanted]
    if there.remote and params["verify"]:
        for backup in found:
            if backup["name"] in there.away and not backup["problem"]:
                backup["problem"] = there.remote.problem(there.away[backup["name"]])
                backup["proved"] = backup["proved"] and not backup["problem"]
    result = {
        "changed": False,
        "backups": found,
        "offsite": {"problem": there.problem},
        "without_manifest": store.without_manifest(there.directory),
    }
    last = drill.last(there.directory)
    result["drill"] = asdict(last) if last else {}
    if params["max_age"] is not None:
        drills = params["drill_max_age"]
        limits = freshness.Limits(params["max_age"], drills or 0, there.remote is not None, drills is not None)
        problems = [*filter(None, [there.problem]), *freshness.problems(found, last, limits, now)]
        unheard = ping(params["ping_url"] if problems else "", " ".join(problems))
        result["problems"] = [*problems, *filter(None, [unheard])]
    if params["choose"]:
        manifest = there.choose(params["choose"], params)
        result["chosen"] = next(backup for backup in found if backup["name"] == manifest.name)
    return result


def main() -> None:
    spec: dict[str, dict[str, Any]] = {
        **offsite.OFFSITE_SPEC,
        **INTERRUPTED_SPEC,
        "directory": {"type": "path", "required": True},
        "application": {"type": "str"},
        "environment_name": {"type": "str"},
        "choose": {"type": "str"},
        "from_environment": {"type": "str"},
        "verify": {"type": "bool", "default": False},
        "max_age": {"type": "float"},
        "drill_max_age": {"type": "float"},
        "ping_url": {"type": "str", "default": ""},
        "login": {"type": "dict", "options": CONNECTION_SPEC},
    }
    needed = dict.fromkeys(("choose", "max_age"), ("application", "environment_name"))
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True, required_by=needed), ending(work))


if __name__ == "__main__":
    main()
