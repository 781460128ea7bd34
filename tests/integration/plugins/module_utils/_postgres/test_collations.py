# SPDX-License-Identifier: GPL-3.0-or-later
"""A system that sorts otherwise than when the indexes were made."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from conftest import Postgres
from support.access import Site, make_site


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    return make_site(postgres, tmp_path)


def test_a_system_that_sorts_otherwise_is_noticed(site: Site) -> None:
    """As after a new C library: what the catalogue notes is not what the system says."""
    site.access()
    assert site.info()["schema"]["collations"] == ""
    site.execute("CREATE COLLATION public.own (provider = libc, locale = 'C.UTF-8')")
    site.execute("UPDATE pg_collation SET collversion = '2.28' WHERE collname = 'own'")
    site.postgres.execute(
        "UPDATE pg_database SET datcollversion = '2.28' WHERE datname = %s", parameters=[site.database]
    )
    name = quote(site.database)
    told = (
        f"The system sorts text otherwise than when the indexes of database {site.database} were made (COLLATION "
        f"public.own was made with version 2.28, now it is none; DATABASE {name} was made with version 2.28, now it is "
        "none), so that they may be in the wrong order: go back to the former image or C library, or check them "
        f"(pg_amcheck --heapallindexed {site.database}), rebuild them (REINDEX DATABASE {name}), and then note the new "
        f"version (ALTER COLLATION public.own REFRESH VERSION; ALTER DATABASE {name} REFRESH COLLATION VERSION)."
    )
    refused = site.access(collations="refuse", extensions=["vector"])
    assert refused["msg"] == f"{told} Nothing was changed; database_collations: warn goes on as it is."
    assert site.execute("SELECT extname FROM pg_extension") == [("plpgsql",)]
    warned = site.access(collations="warn")
    assert ([each["event"]["msg"] for each in warned["warnings"]], warned["changed"]) == ([told], False)
    assert site.info()["schema"]["collations"] == told
    site.postgres.execute("UPDATE pg_database SET datcollversion = NULL WHERE datname = %s", parameters=[site.database])
    site.execute("DROP COLLATION public.own")
    assert site.access(collations="refuse")["changed"] is False
