# SPDX-License-Identifier: GPL-3.0-or-later
"""What migrations made can be restored from a backup."""

from __future__ import annotations

from unittest.mock import ANY

from support.backup import Site, run_module


def test_what_migrations_made_is_restored_once_more(site: Site) -> None:
    arguments = {key: value for key, value in site.common.items() if key not in ("application", "environment_name")}
    assert run_module("restore_test", arguments) == {"changed": False, "unproved": [], "invocation": ANY}
    site.execute(
        "CREATE TABLE voucher (a timestamptz CHECK (a > now()), b date CONSTRAINT day CHECK (b > CURRENT_DATE), "
        "c timestamptz CHECK (c > '2020-01-01'))"
    )
    assert (
        "After these migrations a check looks at the clock or the session: day of public.voucher; voucher_a_check of "
        "public.voucher. Rows can violate it later"
    ) in str(run_module("restore_test", arguments)["warnings"])
    site.execute("DROP TABLE voucher")
    site.execute(
        "CREATE FUNCTION half(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END'; "
        "CREATE INDEX halves ON t (half(id)); "
        "CREATE OR REPLACE FUNCTION half(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n / 0; END'"
    )
    failed = run_module("restore_test", arguments)
    assert failed["msg"].startswith(
        "What the migrations make can't be restored from a backup. A restored copy of database "
        f"'{site.database}' has all of its rows, but is not otherwise as it was: INDEX halves postgres: division by "
        "zero; index public.halves is missing. "
    )
    assert failed["msg"].endswith(
        "Correct the migration that made it so, or set unprovable to the reason for applying it all the same."
    )
    assert run_module("restore_test", {**arguments, "data_limit": 0}).get("msg") is None  # its rows are not looked at
    done = run_module("restore_test", {**arguments, "unprovable": "to be corrected"})
    assert done["unproved"] == ["INDEX halves postgres: division by zero", "index public.halves is missing"]
    assert (site.files(), site.databases()) == ([], [])
