# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored copy is compared with its manifest before it is put in the database's place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.backup import Site, faulty, schema_dump


def test_a_newer_server_and_a_damaged_dump(site: Site) -> None:
    backup = site.backup()["backup"]
    manifest = site.directory / f"{backup['name']}.json"
    text = manifest.read_text()
    manifest.write_text(text.replace(f'"server_major": {site.postgres.version}', '"server_major": 99'))
    assert "can't be restored on" in site.restore()["msg"]
    manifest.write_text(text)

    dump = site.directory / backup["dump"]
    good = dump.read_bytes()
    dump.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    assert site.restore()["msg"] == (
        f"The dump {dump.name} was altered: its SHA-256 is not the one in its manifest. Backup '{backup['name']}' "
        "can't be restored: choose another one."
    )
    assert [found["proved"] for found in site.info()["backups"]] == [True]
    assert [found["proved"] for found in site.info(verify=True)["backups"]] == [False]
    dump.write_bytes(good[:-1])
    assert "bytes, its manifest says" in site.info()["backups"][0]["problem"]
    dump.unlink()
    assert site.info()["backups"][0]["problem"] == f"The dump {dump.name} is missing."
    assert site.restore()["msg"].startswith(f"The dump {dump.name} is missing.")
    assert site.databases() == []


FAULTS = {
    "failing restore": ('"$real" --schema-only "$@"; exit 3', "pg_restore failed (exit code 3): "),
    "rows missing": (
        'exec "$real" --schema-only "$@"',
        "is not what its manifest says, so database '{}' was left as it is",
    ),
    "objects missing": ('exec "$real" --section=pre-data --section=data "$@"', "0 of kind constraint instead of 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_leaves_the_database_alone(site: Site, tmp_path: Path, fault: str) -> None:
    site.backup()
    site.execute("UPDATE t SET x = 'second'")
    script, message = FAULTS[fault]
    failed = site.restore(bindir=faulty(site.postgres.bindir, tmp_path / "bin", "pg_restore", script))
    assert message.format(site.database) in failed["msg"]
    assert site.databases() == []
    assert site.execute("SELECT DISTINCT x FROM t") == [("second",)]
    assert site.restore()["changed"]


def test_roles_that_the_server_lacks_are_all_named_before_anything_starts(site: Site) -> None:
    """As on a new server that the backup's files were brought to."""
    names = ("bk_grantee", "bk_policy", "bk owner", "bk_default")
    for name in names:
        site.postgres.execute(f'CREATE ROLE "{name}"')
    site.postgres.execute(
        f"""
        ALTER ROLE "bk owner" LOGIN CREATEDB NOINHERIT CONNECTION LIMIT 7 PASSWORD 'not-in-the-manifest';
        GRANT bk_grantee TO "bk owner" WITH ADMIN OPTION; GRANT pg_monitor TO bk_policy;
        ALTER ROLE bk_policy SET work_mem TO '7MB';
        ALTER ROLE "bk owner" IN DATABASE {site.database} SET search_path TO "$user", 'it''s';
        """
    )
    site.execute(
        """
        GRANT SELECT (x) ON t TO bk_grantee;
        CREATE POLICY p ON t TO bk_policy USING (true);
        CREATE TABLE u (); ALTER TABLE u OWNER TO "bk owner";
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bk_default;
        """
    )
    backup = site.backup(revision="c1-dirty")["backup"]
    assert backup["revision"] == "c1-dirty"
    assert backup["roles"] == ["bk owner", "bk_default", "bk_grantee", "bk_policy", "postgres"]
    made = [each for each in backup["role_definitions"] if "bk_default" not in each and "postgres" not in each]
    assert made[0] == 'CREATE ROLE "bk owner" CREATEDB NOINHERIT LOGIN CONNECTION LIMIT 7'
    assert "not-in-the-manifest" not in json.dumps(backup)
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", backup["wal_position"])
    login = {"login": site.postgres.login(site.database)}
    assert [found["proved"] for found in site.info(verify=True, **login)["backups"]] == [True]

    site.postgres.execute(f"DROP DATABASE {site.database}")
    for name in names[:3]:
        site.postgres.execute(f'DROP ROLE "{name}"')
    site.postgres.execute(f"CREATE DATABASE {site.database}")
    missing = (
        "It names 3 roles that this server does not have, since roles are no part of a backup: bk owner, bk_grantee, "
        f"bk_policy; create them first ({'; '.join(made)}; those that sign in need LOGIN and a password)."
    )
    expected = f"Backup '{backup['name']}' can't be restored, and nothing was changed. {missing}"
    assert site.restore()["msg"] == expected
    assert site.restore(check=True)["msg"] == expected
    assert site.databases() == []
    [found] = site.info(verify=True, **login)["backups"]
    assert (found["proved"], found["problem"]) == (False, missing)
    for statement in made:
        site.postgres.execute(statement)
    assert site.restore()["changed"]
    again = site.backup()["backup"]
    assert again["role_definitions"] == backup["role_definitions"]


def test_the_same_schema_by_another_path(site: Site) -> None:
    site.execute("CREATE VIEW v AS SELECT * FROM t WHERE x IN ('a', 'b'); CREATE INDEX i ON t (lower(x))")
    before = schema_dump(site.postgres, site.database)
    site.backup()
    site.restore()
    assert schema_dump(site.postgres, site.database) == before
