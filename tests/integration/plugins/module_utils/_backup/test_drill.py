# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill on the database's own server; those from away are seen in the test of the schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.drill import drill, last
from ansible_collections.slipway.deploy.plugins.module_utils._backup.offsite import OFFSITE_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._backup.place import PLACE_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway import exists, socket_dir
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor
from support.backup import Site


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    found = Site(postgres, postgres.database(), tmp_path / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute("INSERT INTO t (x) SELECT 'first' FROM generate_series(1, 1000) g")
    return found


def params(site: Site, **more: object) -> dict[str, Any]:
    specs = {**CONNECTION_SPEC, **CLIENT_SPEC, **OFFSITE_SPEC, **PLACE_SPEC}
    return {**{name: option.get("default") for name, option in specs.items()}, **site.common, **more}


def test_it_restores_the_newest_and_leaves_nothing(site: Site) -> None:
    with pytest.raises(SlipwayError) as none:
        drill(params(site))
    assert str(none.value) == (
        "The drill failed: There is no backup of application 'autotest', environment 'test' in "
        f"{site.directory}: take one."
    )
    site.backup()
    site.execute("INSERT INTO t (x) VALUES ('more')")
    newest = site.backup()["backup"]["name"]
    [done] = drill(params(site))
    assert done.startswith(f"Restored backup {newest} from this host into a scratch database and compared 1,001 rows")
    found = last(site.directory)
    assert found is not None
    assert (found.backup, found.where, found.problem) == (newest, "here", "")
    assert site.databases() == []

    dump = site.directory / f"{newest}.dump"
    content = dump.read_bytes()
    dump.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SlipwayError, match=r"^The drill failed: The dump .* was altered"):
        drill(params(site))
    found = last(site.directory)
    assert found is not None
    assert found.problem.startswith(f"The dump {newest}.dump was altered")
    assert site.databases() == []


def test_on_a_server_of_its_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leans on the search_path of a database that this server does not have, and finds what was altered."""
    site.execute(f"CREATE SCHEMA app; ALTER DATABASE {site.database} SET search_path TO app")
    site.execute(
        "SET search_path TO app; CREATE TABLE kind (x int);"
        "CREATE FUNCTION kinds() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM kind';"
        "CREATE TABLE leaning (x int CHECK (x >= kinds())); INSERT INTO leaning VALUES (7)"
    )
    done = site.backup()
    name = done["backup"]["name"]
    created: list[str] = []
    create = databases.create

    def noted(cursor: Cursor, database: str, like: databases.About) -> None:
        cursor.execute("SHOW unix_socket_directories")
        created.append(str(one_row(cursor)[0]))
        create(cursor, database, like)

    monkeypatch.setattr(databases, "create", noted)
    [said] = drill(params(site, proof_server="own"))
    assert said.startswith(f"Restored backup {name} from this host into a scratch database and compared 1,001 rows")
    assert set(created) == {str(socket_dir(site.directory))}
    assert not exists(site.directory)

    manifest = site.directory / f"{name}.json"
    manifest.write_text(manifest.read_text().replace('"public.t": 1000', '"public.t": 1001'))
    with pytest.raises(SlipwayError, match=r"public\.t"):
        drill(params(site, proof_server="own"))
    assert not exists(site.directory)
