# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored database stands where the former one stood, and a failed restore changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg2
import pytest
from conftest import Postgres
from support.backup import MODULES, ROOT, Site, contents, fill

PROPERTIES = """
SELECT pg_get_userbyid(datdba), encoding, datcollate, datctype, datallowconn, datconnlimit, datistemplate,
    shobj_description(d.oid, 'pg_database'),
    (SELECT array_agg(format('%s %s %s', grantee, privilege_type, is_grantable) ORDER BY 1) FROM aclexplode(datacl)),
    (SELECT array_agg(setrole || setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
FROM pg_database d WHERE datname =
"""


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    """A database with one small table."""
    found = Site(postgres, postgres.database(), tmp_path / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute("INSERT INTO t (x) SELECT 'first' FROM generate_series(1, 1000) g")
    return found


def test_four_runs(site: Site) -> None:
    backup = site.backup(release="1.0")["backup"]
    site.execute("UPDATE t SET x = 'second'")
    site.execute("CREATE TABLE later (x int)")

    check = site.restore(check=True)
    assert check["changed"]
    assert check["actions"][0].startswith(f"Would restore backup {backup['name']} (")
    assert site.databases() == []
    assert site.execute("SELECT DISTINCT x FROM t") == [("second",)]

    first = site.restore()
    result = first["restore"]
    assert (result["backup"], result["rows"], result["database"]) == (backup["name"], 1000, site.database)
    assert site.databases() == [result["kept_database"]]
    assert site.execute("SELECT DISTINCT x FROM t") == [("first",)]
    assert site.execute("SELECT to_regclass('later')") == [(None,)]
    assert site.execute("INSERT INTO t (x) VALUES ('new') RETURNING id") == [(1001,)]
    assert site.postgres.execute("SELECT DISTINCT x FROM t", result["kept_database"]) == [("second",)]
    assert site.execute("SELECT reltuples::int FROM pg_class WHERE relname = 't'") == [(1000,)]

    assert site.restore(check=True)["changed"]
    assert site.execute("SELECT count(*) FROM t") == [(1001,)]
    assert site.restore(backup=backup["name"]).get("msg") is None
    assert site.execute("SELECT count(*) FROM t") == [(1000,)]


def test_everything_about_the_database_is_as_it_was(postgres: Postgres, tmp_path: Path) -> None:
    site = Site(postgres, "Daten 'bank' \\ ü=1", tmp_path / "backups")
    postgres.execute("CREATE DATABASE \"Daten 'bank' \\ ü=1\"")
    fill(site)
    postgres.execute("ALTER DATABASE \"Daten 'bank' \\ ü=1\" CONNECTION LIMIT 17 IS_TEMPLATE true")
    literal = "'" + site.database.replace("'", "''") + "'"
    before = (
        postgres.execute(f"{PROPERTIES} {literal}"),
        site.execute("SELECT current_setting('search_path'), current_setting('work_mem')"),
        contents(postgres, site.database),
    )
    assert before[0][0][5:7] == (17, True)
    assert site.backup().get("msg") is None
    site.execute("DELETE FROM users WHERE id > 100; DROP VIEW active; SELECT lo_unlink(4711)")
    done = site.restore()
    assert done.get("msg") is None
    assert before == (
        postgres.execute(f"{PROPERTIES} {literal}"),
        site.execute("SELECT current_setting('search_path'), current_setting('work_mem')"),
        contents(postgres, site.database),
    )
    assert site.execute("SELECT convert_from(lo_get(4711), 'UTF8')") == [("large",)]
    application = postgres.connect(site.database, "bk_app", "bk_app")
    with application.cursor() as cursor:
        cursor.execute("SELECT count(*), current_setting('statement_timeout') FROM users")
        assert cursor.fetchall() == [(490, "7s")]
        cursor.execute("SELECT * FROM secret")
        assert cursor.fetchall() == [("bk_app", 1)]
    application.close()


def test_a_pool_that_reconnects_all_the_time(site: Site) -> None:
    """It can't come in the way of the swap, and is served again as soon as that is over."""
    site.backup()
    stop = threading.Event()
    messages: list[str] = []
    served: list[int] = []

    def client() -> None:
        while not stop.is_set():
            try:
                opened = site.postgres.connect(site.database)
                with opened.cursor() as cursor:
                    while not stop.is_set():
                        cursor.execute("SELECT count(*) FROM t")
                        served.append(1)
            except psycopg2.Error as error:
                messages.append(str(error))

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        done = site.restore()
        before_the_end = len(served)
        deadline = time.monotonic() + 10
        while len(served) == before_the_end and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert done["restore"]["seconds"]["swap"] < 5
    assert len(served) > before_the_end
    assert messages


def test_refusals(site: Site) -> None:
    missing = site.restore()
    assert missing["msg"] == (
        f"There is no backup of application 'autotest', environment 'test' in {site.directory}: take one with "
        "slipway.deploy.backup, or name the right directory."
    )
    production = Site(site.postgres, site.database, site.directory, environment="prod").backup()["backup"]["name"]
    assert site.restore(backup=production)["msg"] == (
        f"Backup '{production}' is of application 'autotest', environment 'prod', not of 'autotest', 'test': choose "
        "another one, or set from_environment if you mean to take over another environment's data."
    )
    assert "not of 'other', 'test': choose" in site.restore(backup=production, application="other")["msg"]
    assert site.restore(backup="x")["msg"] == (
        f"There is no backup 'x' in {site.directory}: choose one that is there (newest: none)."
    )
    assert site.restore(login_db="nowhere", from_environment="prod")["msg"] == (
        "The server has no database 'nowhere': create it first (the role 'postgres' does), or correct login_db."
    )
    assert site.databases() == []
    assert site.restore(from_environment="prod")["restore"]["environment"] == "prod"


def test_what_is_chosen_beforehand_is_what_is_restored(site: Site) -> None:
    older = site.backup(release="1.0")["backup"]["name"]
    site.execute("INSERT INTO t (x) VALUES ('second')")
    newest = site.backup(release="2.0")["backup"]["name"]
    # A newer one that no restore has proved, as an editor of manifests might leave it, is not chosen either.
    name = "99991231T000000Z_3"
    manifest = json.loads((site.directory / f"{newest}.json").read_text())
    unproved = {**manifest, "name": name, "dump": f"{name}.dump", "proved": False}
    (site.directory / f"{name}.json").write_text(json.dumps(unproved))
    (site.directory / f"{name}.dump").write_bytes(b"")
    own = {"application": "autotest", "environment_name": "test"}
    for wanted, chosen in (("latest", newest), (older, older)):
        found = site.info(**own, choose=wanted)["chosen"]
        assert (found["name"], found["rows"]) == (chosen, 1001 if chosen == newest else 1000)
        assert site.restore(check=True, backup=wanted)["restore"]["backup"] == chosen
    for more in ({"choose": name}, {"choose": "latest", "from_environment": "prod"}):
        asked = {"backup" if option == "choose" else option: value for option, value in more.items()}
        assert site.info(**own, **more)["msg"] == site.restore(check=True, **asked)["msg"]


def test_a_swap_that_fails_puts_the_old_one_back(site: Site) -> None:
    """A setting that can't be given to the new database fails the last step, after the sessions were ended."""
    site.backup()
    site.postgres.execute(f"ALTER DATABASE {site.database} SET slipway.owner = 'test'")
    site.postgres.execute("CREATE ROLE bk_plain LOGIN CREATEDB PASSWORD 'bk_plain'")
    site.postgres.execute(f"ALTER DATABASE {site.database} OWNER TO bk_plain")
    login = {"login_user": "bk_plain", "login_password": "bk_plain"}
    for table in ("TABLE t",):
        site.execute(f"ALTER {table} OWNER TO bk_plain")
    site.backup(**login)
    failed = site.restore(**login)
    assert failed["msg"] == (
        f"The restore of database '{site.database}' failed: permission denied to set parameter \"slipway.owner\"."
    )
    assert site.databases() == []
    assert site.execute("SELECT count(*), current_setting('slipway.owner') FROM t") == [(1000, "test")]


def test_leftovers_of_a_killed_restore(site: Site) -> None:
    site.backup()
    name = f"{site.database}_restoring"
    site.postgres.execute(f"CREATE DATABASE {name} ALLOW_CONNECTIONS false CONNECTION LIMIT 0")
    site.postgres.execute(f"CREATE DATABASE {site.database}_scratch ALLOW_CONNECTIONS false CONNECTION LIMIT 0")
    site.postgres.execute(f"ALTER DATABASE {site.database} ALLOW_CONNECTIONS false")
    done = site.restore()
    assert done["actions"][:3] == [
        f"Opened database {site.database}, which a restore that was cut short left closed.",
        f"Dropped database {name}, which an earlier run left behind.",
        f"Dropped database {site.database}_scratch, which an earlier run left behind.",
    ]
    assert site.execute("SELECT count(*) FROM t") == [(1000,)]
    assert site.databases() == [done["restore"]["kept_database"]]
    assert site.postgres.execute("SELECT count(*) FROM t", done["restore"]["kept_database"]) == [(1000,)]


def test_a_database_that_somebody_closed_stays_closed(site: Site) -> None:
    site.backup()
    site.postgres.execute(f"ALTER DATABASE {site.database} ALLOW_CONNECTIONS false")
    assert site.restore()["msg"] == (
        f"Database '{site.database}' accepts no connections and no restore of Slipway's was at work on it, so somebody "
        f'closed it: when that is over, open it with ALTER DATABASE "{site.database}" ALLOW_CONNECTIONS true and '
        "run again."
    )
    assert site.databases() == []
    with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
        site.execute("SELECT 1")


def test_a_swap_that_is_in_somebodys_way_gives_up(site: Site) -> None:
    """RENAME waits in vain for a session that this role may not end."""
    site.backup()
    superuser = site.postgres.connect(site.database)
    site.postgres.execute("CREATE ROLE bk_weak LOGIN CREATEDB PASSWORD 'bk_weak'")
    site.postgres.execute(f"ALTER DATABASE {site.database} OWNER TO bk_weak")
    site.execute("ALTER TABLE t OWNER TO bk_weak")
    login = {"login_user": "bk_weak", "login_password": "bk_weak"}
    site.backup(**login)
    failed = site.restore(**login)
    assert "permission denied to terminate process" in failed["msg"] or "must be a superuser" in failed["msg"], failed
    with superuser.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM t")  # nobody ended it
    superuser.close()
    assert site.databases() == []
    assert site.execute("SELECT count(*) FROM t") == [(1000,)]
    assert site.restore(**login).get("msg") is None


def test_a_backup_of_another_environment_is_masked_before_anybody_sees_it(site: Site, tmp_path: Path) -> None:
    production = Site(site.postgres, site.postgres.database(), tmp_path / "production", environment="prod")
    production.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, name varchar(9)); CREATE TABLE free (x text);"
        "INSERT INTO users SELECT g, 'real' || g || '@x', 'Real' FROM generate_series(1, 50) g;"
        "INSERT INTO free VALUES ('y')"
    )
    backup = production.backup()["backup"]["name"]
    name, comment = site.database, "the tests'\nslipway.environment=test"
    site.postgres.execute(f"COMMENT ON DATABASE {name} IS %s", parameters=[comment])
    files = sorted(path.name for path in production.directory.iterdir())
    rules = {"users": {"email": "'user' || id || '@example.com'", "name": "hash"}}
    taken = {"from_environment": "prod", "from_directory": str(production.directory)}

    for more, error in (
        ({"masking": {"usrs": {}}}, "app_masking names table 'usrs'"),
        (
            {"masking": {"users": {"email": "hash"}}},
            "1 column that may hold text, and nothing was changed: users.name;",
        ),
        (
            {"masking": {"users": {**rules["users"], "email": "fixed"}}},
            "equal that users_email_key wants to be different",
        ),
        ({"from_directory": str(tmp_path / "nowhere"), "masking": rules}, "There is no backup of application"),
    ):
        assert error in site.restore(**{**taken, **more})["msg"]
        assert (site.databases(), site.execute("SELECT count(*) FROM t")) == ([], [(1000,)])

    check = site.restore(check=True, **taken, masking=rules)
    assert check["actions"][0].endswith(" users would be masked.")
    done = site.restore(**taken, masking=rules)
    assert done.get("msg") is None, done
    assert done["restore"]["backup"] == backup
    assert any(each.startswith("Masked users (email, name; 50 rows), and rewrote") for each in done["actions"])
    assert site.databases() == [done["restore"]["kept_database"]]
    query = "SELECT count(*), min(email), count(*) FILTER (WHERE name ~ '^[0-9a-f]{9}$') FROM users"
    assert site.execute(query) == [(50, "user10@example.com", 50)]
    assert site.execute("SELECT x FROM free") == [("y",)]
    assert site.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    ) == [(comment,)]
    assert sorted(path.name for path in production.directory.iterdir()) == files


def test_a_run_that_is_killed_while_it_masks_leaves_nothing_that_is_not_masked(site: Site) -> None:
    site.backup()
    site.execute("UPDATE t SET x = 'second'")
    arguments = {**site.common, "masking": {"t": {"x": "pg_sleep(60)::text"}}}
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.restore"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    masking = "SELECT pid FROM pg_stat_activity WHERE query ~ '^UPDATE .*pg_sleep'"
    deadline = time.monotonic() + 60
    while not site.postgres.execute(masking):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert site.databases() == [f"{site.database}_restoring"]
    assert site.execute("SELECT DISTINCT x FROM t") == [("second",)]
    site.postgres.execute(f"SELECT pg_terminate_backend(pid) FROM ({masking}) s")

    assert site.backup().get("msg") is None
    assert site.databases() == []
