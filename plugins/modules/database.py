#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: database
author: The Slipway contributors
short_description: An application's database, its roles, and least privilege
description:
  - Creates an owner, an application and a read-only role and the database, and corrects a password that is not the
    given one.
  - What migrations say of rights wins. The application and the read-only role get theirs as default rights of the owner
    role, on whatever it makes in any schema, and once; on objects that are there already when the role is new to the
    database. What is granted or revoked later stays. Kept as they should be are the right to connect, the history of
    migrations, which only the owner writes, and schema C(slipway).
  - The owner gets, once, when the database is new to Slipway, what other roles own in it, as Prisma did before. Left
    where they are, and told in RV(remarks), are a superuser's objects where the login is none, a superuser's functions
    with C(SECURITY DEFINER) or of event triggers, event triggers, foreign data wrappers and languages. Objects of an
    extension are none of the application's.
  - Who owned something then becomes a member of the owner role, so that a release that still logs in as it goes on to
    work; with O(released), and when no session of it is left, that ends. Who could connect because everyone could, and
    has rights or a session in the database, is let in by name.
  - Marks the database with the name of its environment, and stops before it writes when it carries another's.
  - Drops what an interrupted run left behind of Slipway's own copies of the database, and opens a database that an
    interrupted restore left closed.
  - Remembers which server the environment lives on, and stops when an empty or foreign one took its place.
  - All of it in one round trip, and only what the catalogue lacks. The login must be a superuser, or may create roles
    and databases.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Returns the statements that would be sent and sends none.
  diff_mode:
    support: full
    details: Shows the statements.
  idempotent:
    support: full
    details: Only what the catalogue lacks is sent.
options:
  owner:
    description: Role that owns the database and runs the migrations.
    type: str
    required: true
  owner_password:
    description: Its password.
    type: str
    required: true
  application:
    description: Role of the application; reads and writes rows.
    type: str
    required: true
  application_password:
    description: Its password, or that of O(application_login).
    type: str
    required: true
  application_login:
    description:
      - The login that has O(application_password), where that is not O(application) itself. It is a member of
        O(application) that begins each session as it, with its settings and its limit of connections.
      - O(application) is then not made to log in, and goes on doing so where it does; see M(slipway.deploy.logins).
    type: str
    default: ""
  readonly:
    description: Role that only reads.
    type: str
    required: true
  readonly_password:
    description: Its password.
    type: str
    required: true
  collations:
    description:
      - What to do when the system sorts text otherwise than when the database's indexes were made, as a new image or C
        library may. V(refuse) stops before anything is changed in the database.
    type: str
    choices: [refuse, warn]
    default: warn
  maintenance_db:
    description: Database to connect to for the roles and for creating O(login_db).
    type: str
    default: postgres
  released:
    description: Whether a release serves that logs in as O(application), so that no former owner is needed any more.
    type: bool
    default: false
  extensions:
    description:
      - Extensions for the login to create in the database, which the owner may not, with those that they require.
      - One that is there already is left as it is.
    type: list
    elements: str
    default: []
  dedicated:
    description:
      - Whether the server is this application's alone. Then nobody but the administrator, O(login_user), may connect to
        its databases C(postgres) and C(template1), and the administrator may not come over TCP, by a rule at the top of
        the server's own C(pg_hba.conf) that counts without a restart; in a database that others made not before
        O(released), since what serves until then may log in as the administrator. The functions that make and write
        large objects, which everyone may call, are the owner's and the application's alone.
    type: bool
    default: false
  address:
    description:
      - IP address of the host at which other hosts reach the server. Its certificate is made for it, signed by an
        authority of its own, and the server turns TLS on, without a restart. Both are renewed when less than a third of
        their time is left, which is 3 years for the certificate and 20 for the authority.
      - Empty where nobody comes from other hosts. Needs O(dedicated) and C(openssl) on the host.
    type: str
    default: ""
  clients:
    description:
      - Addresses or networks from which O(application), and nobody else, is let in over TLS, beside the networks of the
        server's own host.
    type: list
    elements: str
    default: []
  authority_directory:
    description: Directory on the host that keeps the authority, and the server's certificate and its key.
    type: path
    default: ""
  environment_name:
    description: Name of the environment, kept in a line C(slipway.environment=NAME) of the database's comment.
    type: str
    required: true
  identity_file:
    description: File on the host that remembers the server's system identifier.
    type: path
    required: true
  seedable:
    description: Whether to mark a database that this call creates as new, for M(slipway.deploy.seed_mark).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Grant what each role needs
  slipway.deploy.database:
    login_unix_socket: /var/lib/slipway/autotest/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
    owner: autotest_owner
    owner_password: "{{ postgres_owner_password }}"
    application: autotest_app
    application_password: "{{ postgres_application_password }}"
    readonly: autotest_readonly
    readonly_password: "{{ postgres_readonly_password }}"
    environment_name: test
    identity_file: /var/lib/slipway/autotest/test/database.json
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
remarks:
  description: What was left where it is, and which former owners still use the database, a sentence each.
  type: list
  elements: str
  returned: success
authority:
  description: The authority that signs the server's certificate, in PEM format; empty without O(address).
  type: str
  returned: success
database:
  description: The database and its server.
  type: dict
  returned: success
  contains:
    created: {description: Whether this run created it., type: bool}
    ready: {description: False in check mode where a role or the database is not as it would be., type: bool}
    environment: {description: Environment that the database belongs to., type: str}
    server_version: {description: Version of the server., type: str}
    system_identifier: {description: The server's identity from initdb., type: str}
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access import adoption, login_roles, logins, rights
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import (
    client_authentication,
    collations,
    databases,
    identity,
    server_certificate,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import extensions as needed_extensions
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    LoginRefusedError,
    Server,
    autocommit,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote
from ansible_collections.slipway.deploy.plugins.module_utils._seed import decision

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@contextlib.contextmanager
def explain_password_failure(server: Server) -> Iterator[None]:
    """Say what to do when the server refuses the administrator's password, which only its first start takes over."""
    try:
        yield
    except LoginRefusedError as error:
        raise SlipwayError(
            f"The server at {server.address} refuses the password of the administrator {server.user!r}; Slipway sets "
            "it at the first start alone: give the one that the server has (database_superuser_password), or log in "
            f"with that one (in a container: docker exec -it CONTAINER psql -U {server.user}) and set the new one with "
            "ALTER ROLE."
        ) from error


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    server = Server.from_params(params)
    roles = rights.Roles(params["owner"], params["application"], params["readonly"])
    roles.insist_on_three()
    passwords = {role: params[f"{kind}_password"] for kind, role in asdict(roles).items()}
    login = params["application_login"] or roles.application
    passwords |= {roles.application: None, login: params["application_password"]}
    file = Path(params["identity_file"])

    def send(cursor: Cursor, statements: list[SqlAction]) -> None:
        for statement in [] if module.check_mode else statements:
            cursor.execute(statement.sql)

    doing = f"Making database {server.database!r} and its roles as role {server.user!r}"
    with explain_password_failure(server), sql_errors(doing), autocommit(server.on(params["maintenance_db"])) as cursor:
        facts = identity.identify(cursor)
        first = identity.check_identity(file, facts["system_identifier"], params["environment_name"])
        opened_up = databases.recover(cursor, server.database, check_mode=module.check_mode)
        found = rights.find_stamp(rights.comment(cursor, server.database))
        rights.check_stamp(found, params["environment_name"], server.database)
        statements = login_roles.plan_roles(cursor, server.on(params["maintenance_db"]), passwords)
        statements += logins.plan_login(cursor, server.database, roles.application, login)
        send(cursor, statements)
        ready = not (module.check_mode and statements)
        made = login_roles.plan_database(cursor, server.database, roles.owner)
        remarks: list[str] = []
        if params["dedicated"]:
            made += login_roles.close_system_databases(cursor)
            # In a database that was there before, a release may serve that logs in as the administrator.
            begin = params["released"] or any(statement.sql.startswith("CREATE DATABASE") for statement in made)
            authentication, remarks = client_authentication.keep_off_the_network(cursor, server.user, params, begin)
            made += authentication
        authority, encrypted = server_certificate.keep(cursor, params, check_mode=module.check_mode)
        made += [
            SqlAction(f"DROP DATABASE IF EXISTS {quote(name)}", databases.left_behind(name))
            for name in databases.leftovers(cursor, server.database)
        ]
        send(cursor, made)
        statements += made
    created = any(statement.sql.startswith("CREATE DATABASE") for statement in made)
    if module.check_mode and created:
        statements += [needed_extensions.create(name) for name in params["extensions"]]
    if not (module.check_mode and (created or opened_up)):
        doing = f"Granting rights in database {server.database!r} as role {server.user!r}"
        # Another's table is given to the owner under a lock for which clients must not queue up for long.
        with sql_errors(doing), connection(server, lock_timeout="10s") as opened, opened, opened.cursor() as cursor:
            sorted_otherwise = collations.insist(cursor, params["collations"])
            if sorted_otherwise:
                module.warn(sorted_otherwise)
            extensions = needed_extensions.plan(cursor, params["extensions"])
            send(cursor, extensions)
            statements += extensions
            new, granted, former, left = adoption.settle(cursor, server.database, roles, params["released"])
            ready = ready and not (new and module.check_mode)
            remarks += left
            granted += rights.plan(cursor, roles, params["environment_name"], former)
            if params["dedicated"]:
                granted += rights.large_object_rights(cursor, roles)
            granted = [statement for statement in granted if statement not in statements]  # check mode plans twice
            send(cursor, granted)
            statements += granted
            if created and params["seedable"]:
                marked = decision.set_mark(rights.comment(cursor), decision.oid(cursor), decision.NEW)
                cursor.execute(f"COMMENT ON DATABASE {quote(server.database)} IS {literal(marked)}")
    actions = [*opened_up, *encrypted, *(statement.done for statement in statements)]
    if first:
        actions.append(f"Noted the server's identity and environment in {file}.")
    if first and not module.check_mode:
        identity.remember(file, facts, params["environment_name"])
    return {
        "changed": bool(actions),
        "actions": actions,
        "diff": {"before": "", "after": "".join(f"{statement.shown}\n" for statement in statements)},
        "remarks": remarks,
        "authority": authority,
        "database": {**facts, "environment": params["environment_name"], "created": created, "ready": ready},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_SPEC,
            "maintenance_db": {"type": "str", "default": "postgres"},
            "collations": {"type": "str", "choices": ["refuse", "warn"], "default": "warn"},
            "owner": {"type": "str", "required": True},
            "owner_password": {"type": "str", "required": True, "no_log": True},
            "application": {"type": "str", "required": True},
            "application_password": {"type": "str", "required": True, "no_log": True},
            "application_login": {"type": "str", "default": ""},
            "readonly": {"type": "str", "required": True},
            "readonly_password": {"type": "str", "required": True, "no_log": True},
            "released": {"type": "bool", "default": False},
            "dedicated": {"type": "bool", "default": False},
            "extensions": {"type": "list", "elements": "str", "default": []},
            **server_certificate.SPEC,
            "environment_name": {"type": "str", "required": True},
            "identity_file": {"type": "path", "required": True},
            "seedable": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
