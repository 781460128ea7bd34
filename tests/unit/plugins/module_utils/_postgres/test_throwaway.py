# SPDX-License-Identifier: GPL-3.0-or-later
"""What a throw-away server has of the one that it is like. That it runs and goes is seen in the tests of backups."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway import (
    HOME,
    PRELOADED,
    SHARED,
    SOCKET_DIR,
    Throwaway,
    Traits,
    alike,
    exists,
    initdb_options,
    remove,
    socket_dir,
)

LIBC = (("ENCODING", "UTF8"), ("LC_COLLATE", "de_DE.utf8"), ("LC_CTYPE", "C"), ("TABLESPACE", "fast"))
ICU = (*LIBC[:3], ("LOCALE_PROVIDER", "icu"), ("ICU_LOCALE", "de-u-kn"), ("ICU_RULES", "&a < g"))
BUILTIN = (*LIBC[:3], ("LOCALE_PROVIDER", "builtin"), ("BUILTIN_LOCALE", "C.UTF-8"))
BEGINNING = ["--username=chief", "--auth=trust", "--no-sync", "--locale=C",
             "--encoding=UTF8", "--lc-collate=de_DE.utf8", "--lc-ctype=C"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "category", "kept"),
    [
        ("IntervalStyle", "Client Connection Defaults / Locale and Formatting", True),
        ("default_toast_compression", "Client Connection Defaults / Statement Behavior", True),
        ("standard_conforming_strings", "Version and Platform Compatibility / Previous PostgreSQL Versions", True),
        ("random_page_cost", "Query Tuning / Planner Cost Constants", True),
        ("max_parallel_workers", "Resource Usage / Asynchronous Behavior", True),
        ("max_locks_per_transaction", "Lock Management", True),
        ("work_mem", "Resource Usage / Memory", True),
        ("wal_level", "Write-Ahead Log / Settings", True),
        ("cron.database_name", "Customized Options", True),
        ("shared_buffers", "Resource Usage / Memory", False),
        ("archive_command", "Write-Ahead Log / Archiving", False),
        ("listen_addresses", "Connections and Authentication / Connection Settings", False),
        ("primary_conninfo", "Replication / Standby Servers", False),
        ("log_destination", "Reporting and Logging / Where to Log", False),
    ],
)
def test_the_settings_that_it_has_too(name: str, category: str, kept: bool) -> None:
    assert alike([(name, "7", category)]) == ({name: "7"} if kept else {}, {})


def test_those_that_name_libraries_are_apart() -> None:
    assert alike([("shared_preload_libraries", "citus", PRELOADED)]) == ({}, {"shared_preload_libraries": "citus"})


@pytest.mark.parametrize(
    ("creation", "checksums", "major", "end"),
    [
        (LIBC, False, 16, []),
        (LIBC, True, 16, ["--data-checksums"]),
        (LIBC, False, 18, ["--no-data-checksums"]),
        (LIBC, True, 18, ["--data-checksums"]),
        (ICU, False, 16, ["--locale-provider=icu", "--icu-locale=de-u-kn", "--icu-rules=&a < g"]),
        (BUILTIN, True, 18, ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"]),
    ],
)
def test_what_its_cluster_is_made_with(
    creation: tuple[tuple[str, str], ...], checksums: bool, major: int, end: list[str]
) -> None:
    assert initdb_options(Traits("chief", creation, checksums, {}, {}, (), ""), major) == BEGINNING + end


def test_its_socket_is_short_wherever_the_directory_is() -> None:
    deep = Path("/srv") / ("x, y" * 60)
    assert len(str(socket_dir(deep) / ".s.PGSQL.5432")) < 107
    assert socket_dir(deep) != socket_dir(deep / "other")


def test_how_it_is_reached() -> None:
    client = Client(Server("ada", "shop", "secret", "db.example", 5433, ca_cert="/ca"), 16, container="shop-postgres")
    own = Throwaway(Path("/srv/backups"), client)
    place = str(socket_dir(Path("/srv/backups")))
    assert own.server == Server("ada", "postgres", "secret", socket_dir=place, ssl_mode="disable")
    assert (own.client.container, own.client.settings["PGHOST"]) == ("shop-postgres-throwaway", SOCKET_DIR)


def test_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert (exists(tmp_path), remove(tmp_path)) == (False, False)


def test_programs_of_another_version(tmp_path: Path) -> None:
    program = tmp_path / "initdb"
    program.write_text("#!/bin/sh\necho 'initdb (PostgreSQL) 15.3'\n")
    program.chmod(0o755)
    with pytest.raises(SlipwayError) as found:
        Throwaway(tmp_path, Client(Server("ada", "shop"), 16, str(tmp_path))).check()
    assert str(found.value) == (
        "The server is PostgreSQL 16, but the host's initdb says 'initdb (PostgreSQL) 15.3', so that no server of its "
        "own can be made for the copy: install the package postgresql-16, or have the copy on the same server."
    )
    Throwaway(tmp_path, Client(Server("ada", "shop"), 15, str(tmp_path))).check()
    program.unlink()
    with pytest.raises(SlipwayError, match=r"^The program initdb is not in .*: install the package postgresql-15, or"):
        Throwaway(tmp_path, Client(Server("ada", "shop"), 15, str(tmp_path))).check()


def test_a_socket_that_lies_elsewhere_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / HOME).mkdir()
    (tmp_path / "run" / "copy").mkdir(parents=True)
    (tmp_path / HOME / SHARED).write_text(str(tmp_path / "run" / "copy"))
    assert remove(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["run"]
