# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of a backup come into a schema beside, whole, and nothing else in the live database changes."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Postgres
from support.backup import Site, contents, fill, run_module, schema_dump


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The hard schema, with a backup."""
    found = Site(postgres, postgres.database(), tmp_path_factory.mktemp("tables") / "backups")
    fill(found)
    found.execute("CREATE SCHEMA audit; CREATE TABLE audit.log (id int); INSERT INTO audit.log VALUES (1), (2)")
    assert found.backup(release="1.0")["backup"]["proved"]
    return found


def restore(site: Site, tables: str, *, check: bool = False, **more: object) -> dict[str, Any]:
    return run_module(
        "restore_tables", {**site.common, "tables": tables.split(","), "_ansible_check_mode": check, **more}
    )


def everything(site: Site, schema: str) -> tuple[object, object]:
    """All but one schema, by pg_dump and row by row."""
    rows = {name: value for name, value in contents(site.postgres, site.database).items() if schema + "." not in name}
    lines = [line for line in schema_dump(site.postgres, site.database) if schema not in line]
    return rows, lines


def test_four_runs(site: Site) -> None:
    site.execute("UPDATE users SET state = 'gone' WHERE id < 100; DELETE FROM event_2024")
    name = f"restored_{site.files()[0].split('_')[0].lower().replace('.', '_')}_1_0"
    wanted = 'users,event,"Zwölf ""Affen"""."tab le",secret'
    before = contents(site.postgres, site.database)
    dump = schema_dump(site.postgres, site.database)

    check = restore(site, wanted, check=True)
    assert check["changed"]
    assert f" into schema {name}, and touch nothing else." in check["actions"][0]
    assert (check["restore"]["schema"], contents(site.postgres, site.database)) == (name, before)

    done = restore(site, wanted)
    assert done.get("msg") is None, done
    assert (site.databases(), done["changed"]) == ([], True)
    now = contents(site.postgres, site.database)
    assert {table: value for table, value in now.items() if not table.startswith(name)} == before
    # What there was is there, line by line and in its order.
    after = iter(schema_dump(site.postgres, site.database))
    assert [line for line in dump if line.strip() and not line.startswith("--") and line not in after] == []
    query = "SELECT count(*), sum(id), max(lower_email), count(embedding), max(state::text) FROM"
    assert site.execute(f"{query} {name}.users") == [(490, 120295, "u9@x", 490, "old")]
    assert site.execute(f"SELECT note FROM {name}.event ORDER BY 1") == [("a",), ("b",)]
    assert site.execute(f"SELECT count(*) FROM {name}.event_2024") == [(1,)]
    assert site.execute(f'SELECT "WHERE" FROM {name}."tab le" ORDER BY 1') == [("\\N\n",), ("a",), (None,)]
    assert site.execute(f"SELECT count(*) FROM {name}.secret") == [(2,)]
    columns = """SELECT attname, attidentity::text, attgenerated::text, format_type(atttypid, atttypmod)
        FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
    restored, live = (site.postgres.execute(columns, site.database, [f"{of}.users"]) for of in (name, "public"))
    assert restored == live
    assert site.execute(f"INSERT INTO {name}.users (email) VALUES ('x') RETURNING id") == [(501,)]
    assert site.execute(f"SELECT last_value FROM {name}.users_id_seq") == [(501,)]
    site.execute(f"DELETE FROM {name}.users WHERE id = 501")
    assert any("foreign key" in action or "trigger touch" in action for action in done["actions"])
    # The operator's sequel, as the owner.
    owner = site.postgres.connect(site.database, "bk_owner", "bk_owner")
    with owner.cursor() as cursor:
        cursor.execute(f"UPDATE users u SET state = r.state FROM {name}.users r WHERE r.id = u.id")
        cursor.execute("SELECT count(*) FROM users WHERE state = 'gone'")
        assert cursor.fetchall() == [(0,)]
    owner.close()

    for checked in (True, False):
        again = restore(site, wanted, check=checked)
        assert not again["changed"]
        assert again["actions"][0].startswith(f"Schema {name} is there already with public.users, ")
    missing = restore(site, "audit.*")
    assert missing["msg"] == (
        f"Schema {name} is there already, without log, so nothing was changed: drop it (DROP SCHEMA {name} CASCADE) or "
        "rename it, and run again."
    )
    site.execute(f"DROP SCHEMA {name} CASCADE")
    assert restore(site, "audit.*")["restore"]["rows"] == 2
    assert site.execute(f"SELECT array_agg(id ORDER BY id) FROM {name}.log") == [([1, 2],)]
    site.execute(f"DROP SCHEMA {name} CASCADE")


def test_a_type_that_is_another_one_by_now_comes_along(site: Site) -> None:
    site.execute("ALTER TYPE mood RENAME TO mood_then")
    try:
        done = restore(site, "users")
        schema = done["restore"]["schema"]
        assert (
            "Brought along into the schema, since the database has none like it: type public.mood." in done["actions"]
        )
        assert site.execute(
            f"SELECT enum_range(NULL::{schema}.mood)::text, max(feeling)::text FROM {schema}.users"
        ) == [("{sad,ok,happy}", "ok")]
        site.execute(f"DROP SCHEMA {schema} CASCADE")
    finally:
        site.execute("ALTER TYPE mood_then RENAME TO mood")


def test_refusals(site: Site) -> None:
    databases = site.databases()
    backup = site.files()[0].removesuffix(".dump")
    for check in (True, False):
        assert restore(site, "usres", check=check)["msg"] == (
            f"Backup '{backup}' has no table 'usres', and nothing was changed: did you mean users?"
        )
    assert "There is no backup 'x' in" in restore(site, "users", backup="x")["msg"]
    site.execute(
        "ALTER FUNCTION touch() RENAME TO touched; ALTER TYPE pair RENAME TO couple; DROP EXTENSION vector CASCADE"
    )
    failed = restore(site, "users")["msg"]
    assert failed.startswith(
        f"The tables of backup '{backup}' can't be made in database '{site.database}' as it is now: "
    )
    assert site.databases() == databases
    assert site.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^restored_'") == []
    assert [file for file in site.files() if "partial" in file] == []
