# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill on the database's own server; those from away are seen in the test of the schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.drill import drill, last
from ansible_collections.slipway.deploy.plugins.module_utils._backup.offsite import OFFSITE_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC
from conftest import Postgres
from support.backup import Site


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    found = Site(postgres, postgres.database(), tmp_path / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute("INSERT INTO t (x) SELECT 'first' FROM generate_series(1, 1000) g")
    return found


def params(site: Site) -> dict[str, Any]:
    specs = {**CONNECTION_SPEC, **CLIENT_SPEC, **OFFSITE_SPEC}
    return {**{name: option.get("default") for name, option in specs.items()}, **site.common}


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
