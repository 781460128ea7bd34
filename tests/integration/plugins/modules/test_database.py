# SPDX-License-Identifier: GPL-3.0-or-later
"""Least privilege on a real server: tried out by the roles themselves, with names that all need quoting."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.login_roles import is_password
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import LARGE_OBJECT_WRITERS
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK, REPLAY_LOCK
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.module_utils._schema import catalogue
from conftest import Postgres
from support.access import PASSWORD, SCHEMA, Site, make_site

TABLES = """
    CREATE TABLE public."Us""ers %" (id serial PRIMARY KEY, name text);
    CREATE VIEW v AS SELECT 1 AS x;
    CREATE TABLE _prisma_migrations (id text);
"""
NO_RIGHT = psycopg2.errors.InsufficientPrivilege


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    return make_site(postgres, tmp_path)


def test_four_runs(site: Site) -> None:
    before = site.rights
    check = site.access(check=True)
    assert check["changed"]
    assert (site.rights, site.identity_file.exists()) == (before, False)

    first = site.access()
    owner, app, readonly = site.roles.owner, site.roles.application, site.roles.readonly
    assert (
        first["actions"]
        == check["actions"]
        == [
            f"Marked database {site.database} as test.",
            f"Granted {app} CONNECT on database {site.database}.",
            f"Granted {readonly} CONNECT on database {site.database}.",
            f"Took CONNECT, TEMPORARY on database {site.database} from everyone.",
            f"Granted {app} USAGE on future schemas.",
            f"Granted {app} SELECT, INSERT, UPDATE, DELETE on future tables.",
            f"Granted {app} SELECT, USAGE on future sequences.",
            f"Granted {readonly} USAGE on future schemas.",
            f"Granted {readonly} SELECT on future tables.",
            f"Granted {readonly} SELECT on future sequences.",
            f"Granted {app} USAGE on schema public.",
            f"Granted {readonly} USAGE on schema public.",
            f"Noted the server's identity and environment in {site.identity_file}.",
        ]
    )
    assert first["diff"] == check["diff"]
    assert f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(owner)} GRANT" in first["diff"]["after"]
    [(identifier,)] = site.execute("SELECT system_identifier::text FROM pg_control_system()")
    assert first["database"] == {
        "created": False,
        "ready": True,
        "environment": "test",
        "server_version": first["database"]["server_version"],
        "system_identifier": identifier,
    }
    noted = json.loads(site.identity_file.read_text())
    assert (noted["system_identifier"], noted["environment"]) == (identifier, "test")
    assert [path.name for path in site.identity_file.parent.iterdir()] == ["database.json"]

    after = site.rights
    assert ("comment", "", "", "slipway.environment=test") in after
    for mode in (True, False):
        again = site.access(check=mode)
        assert (again["changed"], again["actions"], again["diff"]["after"]) == (False, [], "")
    assert site.rights == after


def test_what_each_role_may_do(site: Site) -> None:
    site.access()
    owner, app, readonly = site.roles.owner, site.roles.application, site.roles.readonly
    site.execute_as(
        owner,
        f"{TABLES}; CREATE SCHEMA {quote(SCHEMA)};"
        f"CREATE TABLE {quote(SCHEMA)}.t (id bigint GENERATED ALWAYS AS IDENTITY, x int)",
    )
    # What the owner makes later needs nothing more, but that the history of migrations is only read.
    assert site.access()["actions"] == [f"Took DELETE, INSERT, UPDATE on public._prisma_migrations from {app}."]
    for sql, allowed in {
        """INSERT INTO "Us""ers %" (name) VALUES ('a')""": {app},
        f"INSERT INTO {quote(SCHEMA)}.t (x) VALUES (1)": {app},
        """UPDATE "Us""ers %" SET name = 'b'""": {app},
        """DELETE FROM "Us""ers %" """: {app},
        """SELECT FROM "Us""ers %", v, _prisma_migrations""": {app, readonly},
        'TRUNCATE "Us""ers %"': set(),
        "CREATE TABLE public.mine ()": set(),
        f"CREATE TABLE {quote(SCHEMA)}.mine ()": set(),
        "CREATE SCHEMA mine": set(),
        "CREATE TEMPORARY TABLE mine ()": set(),
        'DROP TABLE "Us""ers %"': set(),
        f"SET ROLE {quote(owner)}": set(),
    }.items():
        for role in (app, readonly):
            if role in allowed:
                site.execute_as(role, sql)
            else:
                with pytest.raises(NO_RIGHT):
                    site.execute_as(role, sql)


def test_tables_that_were_there_before(site: Site) -> None:
    """As in a database that comes from elsewhere. The history of migrations is only read; PUBLIC keeps its own."""
    site.execute(TABLES)
    site.execute("GRANT SELECT ON v TO PUBLIC")
    site.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    actions = site.access()["actions"]
    app, readonly = site.roles.application, site.roles.readonly
    assert "Took CREATE on schema public from everyone." in actions
    wanted = {
        'Us"ers %': (app_rights := "SELECT, INSERT, UPDATE, DELETE", "SELECT"),
        'Us"ers %_id_seq': ("SELECT, USAGE", "SELECT"),
        "_prisma_migrations": ("SELECT", "SELECT"),
        "v": (app_rights, "SELECT"),
    }
    assert sorted(action for action in actions if action.startswith("Granted") and " on public." in action) == sorted(
        f"Granted {role} {granted} on public.{relation}."
        for relation, both in wanted.items()
        for role, granted in zip((app, readonly), both, strict=True)
    )
    site.execute_as(app, """INSERT INTO "Us""ers %" (name) VALUES ('a')""")
    site.execute_as(app, "SELECT FROM _prisma_migrations")
    with pytest.raises(NO_RIGHT):
        site.execute_as(app, "DELETE FROM _prisma_migrations")
    assert site.execute("SELECT has_table_privilege('pg_monitor', 'v', 'SELECT')") == [(True,)]
    assert not site.access(check=True)["changed"]


def test_nobody_else_connects(site: Site) -> None:
    stranger = quote(f"{site.database} stranger")
    site.postgres.execute(f"CREATE ROLE {stranger} LOGIN PASSWORD 'x'")
    site.access()
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        site.postgres.connect(site.database, f"{site.database} stranger", "x")


def test_what_migrations_say_of_rights_stays(site: Site) -> None:
    site.access()
    owner, app, readonly = map(quote, (site.roles.owner, site.roles.application, site.roles.readonly))
    site.execute_as(
        site.roles.owner,
        f"""
        CREATE TABLE audit_entry (id serial, what text);
        REVOKE UPDATE, DELETE ON audit_entry FROM {app};
        CREATE TABLE secret (id int, hash text);
        REVOKE ALL ON secret FROM {app}, {readonly};
        GRANT SELECT (id), UPDATE (id) ON secret TO {app};
        CREATE TABLE queue (id serial);
        GRANT ALL ON queue TO {app}; GRANT SELECT ON queue TO PUBLIC;
        REVOKE USAGE ON SEQUENCE queue_id_seq FROM {app}; GRANT UPDATE ON SEQUENCE queue_id_seq TO {readonly};
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC;
        CREATE SCHEMA workshop; GRANT ALL ON SCHEMA workshop TO {app};
        CREATE SCHEMA vault; REVOKE ALL ON SCHEMA vault FROM {app}, {readonly};
        GRANT CREATE ON SCHEMA public TO PUBLIC;
        ALTER DEFAULT PRIVILEGES REVOKE DELETE ON TABLES FROM {app};
        ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {readonly};
        ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA workshop GRANT TRUNCATE ON TABLES TO {app};
        """,
    )
    site.execute(f"GRANT TEMPORARY ON DATABASE {quote(site.database)} TO {app}")
    before = site.rights
    for check in (True, False):
        again = site.access(check=check)
        assert (again["changed"], again["actions"]) == (False, [])
    assert site.rights == before


def test_any_schema_that_a_migration_makes(site: Site) -> None:
    site.access()
    site.execute_as(
        site.roles.owner,
        """
        CREATE SCHEMA billing; CREATE TABLE billing."Invoice" (id serial PRIMARY KEY, total int);
        CREATE SCHEMA slipway; CREATE TABLE slipway.own ();
        """,
    )
    site.execute_as(site.roles.application, """INSERT INTO billing."Invoice" (total) VALUES (1)""")
    site.execute_as(site.roles.readonly, """SELECT FROM billing."Invoice" """)
    app, readonly = site.roles.application, site.roles.readonly
    assert site.access()["actions"] == [f"Took USAGE on schema slipway from {role}." for role in (app, readonly)]
    with pytest.raises(NO_RIGHT):
        site.execute_as(app, "SELECT FROM slipway.own")
    found = site.info()["schema"]
    assert [(table["schema"], table["name"], table["rows"]) for table in found["tables"]] == [("billing", "Invoice", 1)]
    assert (found["empty"], found["violations"]) == (False, [])


def test_a_database_of_an_earlier_slipway(site: Site) -> None:
    """It had its default rights in single schemas. What exists stays as it is."""
    app, readonly = map(quote, (site.roles.application, site.roles.readonly))
    site.access()
    site.execute_as(
        site.roles.owner,
        f"""
        ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {app}, {readonly};
        ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM {app}, {readonly};
        ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM {app}, {readonly};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {readonly};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, USAGE ON SEQUENCES TO {app};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO {readonly};
        CREATE TABLE t (id serial);
        REVOKE DELETE ON t FROM {app};
        """,
    )
    before = site.rights
    first = site.access()
    assert f"Granted {site.roles.application} USAGE on future schemas." in first["actions"]
    assert f"Took from {site.roles.readonly} what it had on future tables of public alone." in first["actions"]
    assert [each for each in site.rights if each[0] != "default"] == [each for each in before if each[0] != "default"]
    assert all(line.startswith("ALTER DEFAULT PRIVILEGES") for line in first["diff"]["after"].splitlines())
    assert not site.access()["changed"]
    site.execute_as(site.roles.owner, "CREATE SCHEMA billing; CREATE TABLE billing.t (); CREATE TABLE u ()")
    site.execute_as(site.roles.application, "SELECT FROM billing.t; DELETE FROM u")


def test_a_table_that_was_made_by_hand_stays_as_it_is(site: Site) -> None:
    site.access()
    site.execute("CREATE TABLE fixme_backup AS SELECT 1 AS x")
    before = site.rights
    assert (site.access()["actions"], site.rights) == ([], before)
    found = site.info(login_user=site.roles.owner, login_password=PASSWORD)["schema"]
    assert (found["violations"], found["empty"], found["rows"]) == ([], False, 0)
    assert found["uncounted"] == [
        f"Table public.fixme_backup can't be counted, because role {site.roles.owner} may not read it."
    ]


def test_a_client_role_of_another_name(site: Site) -> None:
    """It gets what the one before had, also on what is there."""
    site.access()
    site.execute_as(site.roles.owner, "CREATE TABLE t (x int)")
    other = f"{site.database} another"
    assert site.access(application=other)["changed"]
    assert not site.access(application=other)["changed"]
    site.execute_as(other, "INSERT INTO t VALUES (1)")


def test_another_environments_database(site: Site) -> None:
    site.execute(f"COMMENT ON DATABASE {quote(site.database)} IS 'the shop''s\nslipway.environment=prod'")
    before = site.rights
    for check in (True, False):
        assert site.access(check=check)["msg"] == (
            f"Database {site.database!r} belongs to environment 'prod' but this inventory is 'test': nothing was "
            "changed; use the right inventory, or the right server in this one."
        )
    assert (site.rights, site.identity_file.exists()) == (before, False)


def test_another_server(site: Site) -> None:
    [(identifier,)] = site.execute("SELECT system_identifier::text FROM pg_control_system()")
    before = site.rights
    site.identity_file.parent.mkdir()
    for text, message in {
        '{"system_identifier": "17"}': (
            f"The server has system identifier {identifier} but this environment lives on 17: its data may be missing "
            f"(an empty or another volume); fix that, or delete {site.identity_file} if the move is meant."
        ),
        '{"system_': (
            f"{site.identity_file} can't be read (Unterminated string starting at: line 1 column 2 (char 1)): see that "
            "the server is this environment's, delete the file and run again."
        ),
    }.items():
        site.identity_file.write_text(text)
        for check in (True, False):
            assert site.access(check=check)["msg"] == message
    assert site.rights == before
    site.identity_file.write_text('{"system_identifier": ""}')  # the server hid it then
    assert site.access()["changed"]
    assert json.loads(site.identity_file.read_text())["system_identifier"] == identifier


def test_from_nothing(postgres: Postgres, tmp_path: Path) -> None:
    site = Site(postgres, f'{postgres.database()} "new" %s', tmp_path)
    made = [f"Created role {role}." for role in (site.roles.owner, site.roles.application, site.roles.readonly)]
    made.append(f"Created database {site.database}.")
    check = site.access(check=True)
    assert check["actions"][:4] == made
    assert check["database"]["created"]
    assert postgres.execute("SELECT 1 FROM pg_database WHERE datname = %s", parameters=[site.database]) == []

    first = site.access()
    assert first["actions"][:4] == made
    assert first["database"]["created"]
    assert "SCRAM-SHA-256" not in str(first)
    assert "ALTER DEFAULT PRIVILEGES" in first["diff"]["after"]
    for check_mode in (True, False):
        again = site.access(check=check_mode)
        assert (again["changed"], again["actions"], again["database"]["created"]) == (False, [], False)
    for role in (site.roles.owner, site.roles.application, site.roles.readonly):
        site.execute_as(role, "SELECT 1")
    assert site.execute("SELECT DISTINCT left(rolpassword, 13) FROM pg_authid WHERE rolpassword IS NOT NULL") == [
        ("SCRAM-SHA-256",)
    ]


@pytest.mark.parametrize(
    ("statement", "action"),
    [
        ("PASSWORD 'another one'", "Changed the password of role {}."),
        ("PASSWORD NULL", "Changed the password of role {}."),
        ("CREATEDB BYPASSRLS", "Made role {} NOCREATEDB, NOBYPASSRLS."),
        ("NOLOGIN", "Made role {} LOGIN."),
    ],
)
def test_a_role_that_was_changed_by_hand(site: Site, statement: str, action: str) -> None:
    site.access()
    role = site.roles.application
    site.execute(f"ALTER ROLE {quote(role)} {statement}")
    assert site.access()["actions"] == [action.format(role)]
    site.execute_as(role, "SELECT 1")
    assert not site.access()["changed"]


def test_an_administrator_who_is_no_superuser(postgres: Postgres, tmp_path: Path) -> None:
    """As on a managed server: it can neither read verifiers nor act for the owner without being a member."""
    site = Site(postgres, f"{postgres.database()}_managed", tmp_path)
    admin = f"{site.database}_admin"
    postgres.execute(f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD 'the-administrator'")
    login = {"login_user": admin, "login_password": "the-administrator"}
    first = site.access(**login)
    assert first.get("msg") is None
    assert f"Became a member of {site.roles.owner}." in first["actions"]
    assert not site.access(**login)["changed"]
    site.execute(f"ALTER ROLE {quote(site.roles.readonly)} PASSWORD 'another one'")
    assert site.access(**login)["actions"] == [f"Changed the password of role {site.roles.readonly}."]
    site.execute_as(site.roles.owner, "CREATE TABLE t (x int)")
    site.execute_as(site.roles.application, "INSERT INTO t VALUES (1)")


def test_login_that_may_not_grant(site: Site) -> None:
    site.access()
    site.execute("CREATE TABLE t ()")
    refused = site.access(login_user=site.roles.application, login_password="the-client-role's-password")
    assert refused["msg"] == (
        f"Making database {site.database!r} and its roles as role {site.roles.application!r} failed: "
        f'permission denied to grant role "{site.roles.owner}".'
    )


# What is done by hand, what Slipway takes back of it, and what it tells; all else is for the comparison of schemas.
BY_HAND = {
    "GRANT TRUNCATE, INSERT ON t TO {readonly}": ([], []),
    "REVOKE DELETE ON t FROM {app}": ([], []),
    "GRANT SELECT, UPDATE ON t TO PUBLIC": ([], []),
    "GRANT UPDATE ON SEQUENCE t_id_seq TO {readonly}, PUBLIC": ([], []),
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT TRUNCATE ON TABLES TO {app}": ([], []),
    "GRANT INSERT, DELETE ON _prisma_migrations TO {app}": (
        ["Took DELETE, INSERT on public._prisma_migrations from {app}."], []
    ),
    "REVOKE SELECT ON _prisma_migrations FROM {app}; GRANT SELECT ON _prisma_migrations TO PUBLIC": (
        [
            "Granted {app} SELECT on public._prisma_migrations.",
            "Took SELECT on public._prisma_migrations from everyone.",
        ],
        [],
    ),
    "REVOKE CONNECT ON DATABASE {database} FROM {app}": (["Granted {app} CONNECT on database {database}."], []),
    "GRANT CREATE ON SCHEMA public TO {app}": (
        [], ["Role {app} may create objects in schema public, which no migration says: REVOKE that."]
    ),
    "GRANT TEMPORARY, CREATE ON DATABASE {database} TO {app}": (
        [], ["Role {app} may create schemas in database {database}, which no migration says: REVOKE that."]
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", BY_HAND)
def test_what_was_done_by_hand(site: Site, change: str) -> None:
    site.access()
    site.execute_as(site.roles.owner, "CREATE TABLE t (id serial); CREATE TABLE _prisma_migrations (id text)")
    site.access()  # the history is granted like any table when somebody else than Slipway makes it
    names = {
        "owner": site.roles.owner, "app": site.roles.application, "readonly": site.roles.readonly,
        "database": site.database,
    }  # fmt: skip
    before = site.rights
    site.execute(change.format(**{kind: quote(name) for kind, name in names.items()}))
    changed = site.rights
    actions, violations = ([text.format(**names) for text in texts] for texts in BY_HAND[change])
    check = site.access(check=True)
    assert site.access()["actions"] == check["actions"] == actions
    assert site.rights == (before if actions else changed)
    assert not site.access(check=True)["changed"]
    assert site.info()["schema"]["violations"] == violations


def test_an_extensions_objects_stay_as_they_are(site: Site) -> None:
    site.execute("CREATE TABLE belongs (id serial); GRANT SELECT ON belongs TO PUBLIC")
    site.execute("ALTER EXTENSION plpgsql ADD TABLE belongs")
    site.access()
    assert site.execute("SELECT relacl::text, relowner::regrole::text FROM pg_class WHERE relname = 'belongs'") == [
        ("{postgres=arwdDxt/postgres,=r/postgres}".replace("Dxt", "Dxtm" if site.postgres.version > 16 else "Dxt"),
         "postgres")
    ]  # fmt: skip
    assert site.info()["schema"]["violations"] == []


def test_the_administrators_password_is_another(site: Site) -> None:
    socket = site.postgres.socket_dir
    assert site.access(login_password="changed")["msg"] == (
        f"The server at {socket} refuses the password of the administrator 'postgres'; Slipway sets it at the first "
        "start alone: give the one that the server has (database_superuser_password), or log in with that one (in a "
        "container: docker exec -it CONTAINER psql -U postgres) and set the new one with ALTER ROLE."
    )


def test_what_runs_that_were_cut_short_left_behind(site: Site) -> None:
    """Copies that nobody uses go, and a database that a restore left closed is opened; another's work stays."""
    site.access()
    foreign = f"{site.database}_scratch"
    site.postgres.execute(f"CREATE DATABASE {quote(foreign)}")  # without the mark
    for suffix in ("_restoring", "_replay"):
        name = quote(site.database + suffix)
        site.postgres.execute(f"CREATE DATABASE {name}")
        site.postgres.execute(f"COMMENT ON DATABASE {name} IS '{MARK}'")
    site.postgres.execute(f"ALTER DATABASE {quote(site.database)} ALLOW_CONNECTIONS false")
    refused = site.info()["msg"]
    assert (
        "slipway.deploy.backup, like every verb that writes, opens what an interrupted restore left closed" in refused
    )

    opened = f"Opened database {site.database}, which a restore that was cut short left closed."
    dropped = [
        f"Dropped database {site.database}{suffix}, which an earlier run left behind."
        for suffix in ("_replay", "_restoring")
    ]
    check = site.access(check=True)
    assert check["actions"] == [opened.replace("Opened", "Would open"), *dropped]
    assert site.access()["actions"] == [opened, *dropped]
    assert site.access()["changed"] is False
    site.postgres.execute(f"DROP DATABASE {quote(foreign)}")  # it is there still


def test_a_copy_that_is_in_use_stays(site: Site) -> None:
    site.access()
    names = [site.database + suffix for suffix in ("_restoring", "_replay")]
    for name in names:
        site.postgres.execute(f"CREATE DATABASE {quote(name)}")
        site.postgres.execute(f"COMMENT ON DATABASE {quote(name)} IS '{MARK}'")
    inside, replaying = site.postgres.connect(names[0]), site.postgres.connect(site.database)
    with replaying.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [REPLAY_LOCK])
    assert site.access()["changed"] is False
    inside.close()
    replaying.close()
    actions: set[str] = set()
    deadline = time.monotonic() + 30
    while len(actions) < 2:
        actions.update(site.access()["actions"])
        assert time.monotonic() < deadline
    assert actions == {f"Dropped database {name}, which an earlier run left behind." for name in names}


# Decomposed letters, a ligature, a soft hyphen; another space; an emoji that Unicode 3.2 did not know; right to left.
PASSWORDS = [
    "OPa\u0308sswort-\ufb01sch-\u21165-\u00adlang",
    "a\u3000b e\u0301",
    "\U0001f600 e\u0301",
    "\u0627\u06281 e\u0301",
]


def test_passwords_that_are_not_in_their_normal_form(site: Site) -> None:
    """What the server's own library makes of a password is known again."""
    opened = site.postgres.connect(site.database)
    passwords = [*PASSWORDS, *(chr(code) + "e\u0301" for code in range(0xA0, 0x3100, 97))]
    unknown = [
        ascii(each)
        for each in passwords
        if not is_password(each, psycopg2.extensions.encrypt_password(each, "x", opened, "scram-sha-256"))
    ]
    opened.close()
    assert unknown == []
    own = {f"{kind}_password": PASSWORDS[0] for kind in ("owner", "application", "readonly")}
    assert site.access(**own)["changed"]
    assert site.access(**own)["actions"] == []


def test_a_password_that_could_not_be_tried(postgres: Postgres, tmp_path: Path) -> None:
    """A full server says nothing about a password."""
    site = Site(postgres, f"{postgres.database()}_full", tmp_path)
    admin = f"{site.database}_admin"
    postgres.execute(f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD 'the-administrator'")
    login = {"login_user": admin, "login_password": "the-administrator"}
    site.access(**login)
    role = site.roles.application
    site.execute(f"ALTER ROLE {quote(role)} CONNECTION LIMIT 0")
    assert f'too many connections for role "{role}"' in site.access(**login)["msg"]


@pytest.fixture
def own(site: Site) -> Iterator[Site]:
    """A database on a server that is this application's alone, for a while: other tests share it."""
    site.access()
    yield site
    site.postgres.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC; GRANT CONNECT ON DATABASE template1 TO PUBLIC")


def test_on_a_server_of_our_own_nobody_enters_its_other_databases(own: Site) -> None:
    own.postgres.connect("template1", own.roles.application, PASSWORD).close()
    actions = [
        "Took CONNECT on database postgres from everyone.",
        "Took CONNECT on database template1 from everyone.",
        f"Granted {own.roles.owner} EXECUTE on the functions that write large objects.",
        f"Granted {own.roles.application} EXECUTE on the functions that write large objects.",
        "Took EXECUTE on the functions that write large objects from everyone.",
    ]
    assert own.access(dedicated=True, check=True)["actions"] == actions
    assert own.access(dedicated=True)["actions"] == actions
    for check in (True, False):
        assert not own.access(dedicated=True, check=check)["changed"]
    for name in ("postgres", "template1"):
        for role in (own.roles.owner, own.roles.application, own.roles.readonly):
            with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                own.postgres.connect(name, role, PASSWORD)


# Every function of PostgreSQL's that makes, writes or removes a large object, as somebody's first try at it.
WRITES = (
    "SELECT lo_creat(-1)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_put({oid}, 0, 'x')",
    "SELECT lowrite(lo_open({oid}, x'20000'::int), 'x')",
    "SELECT lo_truncate(lo_open({oid}, x'20000'::int), 0)",
    "SELECT lo_truncate64(lo_open({oid}, x'20000'::int), 0)",
    "SELECT lo_unlink({oid})",
)


def test_the_read_only_role_writes_no_large_objects(own: Site) -> None:
    """Not even such as are its own, or of which somebody gave it UPDATE. Who reads one goes on to read it."""
    owner, app, readonly = own.roles.owner, own.roles.application, own.roles.readonly

    def made_by(role: str, oid: int) -> int:
        own.execute(f"SELECT lo_create({oid}); ALTER LARGE OBJECT {oid} OWNER TO {quote(role)}")
        own.execute(f"GRANT SELECT, UPDATE ON LARGE OBJECT {oid} TO {quote(readonly)}")
        return oid

    with contextlib.closing(own.postgres.connect(own.database)) as opened, opened.cursor() as cursor:
        before = catalogue.read(cursor)
        own.access(dedicated=True)
        assert catalogue.read(cursor) == before, "a schema that was recorded before does not differ from it"
    for number, sql in enumerate(WRITES):
        for role in (owner, app):
            own.execute_as(role, sql.format(oid=made_by(role, 1000 + number * 10 + (role == app))))
        for theirs in (owner, readonly):
            oid = made_by(theirs, 2000 + number * 10 + (theirs == owner))
            with pytest.raises(NO_RIGHT, match="permission denied for function"):
                own.execute_as(readonly, sql.format(oid=oid))
            own.execute_as(readonly, f"SELECT lo_get({oid})")
    for sql in ("SELECT lo_import('/etc/hostname')", "SELECT lo_export(1000, '/tmp/x')"):
        for role in (app, readonly):
            with pytest.raises(NO_RIGHT, match="permission denied for function"):
                own.execute_as(role, sql)
    # By the client library, as drivers do it.
    with contextlib.closing(own.connect(app)) as opened:
        opened.autocommit = False
        with opened, contextlib.closing(opened.lobject(0, "wb")) as made:
            made.write(b"by the library")
    with contextlib.closing(own.connect(readonly)) as opened:
        opened.autocommit = False
        with pytest.raises(psycopg2.OperationalError, match="permission denied for function lo_creat"):
            opened.lobject(0, "wb")
    known = own.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^lo'"
    )
    others = {
        "lo_close",
        "lo_export",
        "lo_get",
        "lo_import",
        "lo_lseek",
        "lo_lseek64",
        "lo_open",
        "lo_tell",
        "lo_tell64",
    }
    names = {str(name) for (name,) in known if str(name).startswith("lo_") or name in ("loread", "lowrite")}
    assert names == {*LARGE_OBJECT_WRITERS, *others, "loread"}
