# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what an initdb that was cut short left is begun anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.first_start import look, never_served

WHOLE = ["base/1", "base/4", "base/5"]


@pytest.mark.parametrize(
    ("paths", "running", "expected"),
    [
        (["PG_VERSION"], False, True),
        (["PG_VERSION", "base/1"], False, True),
        (["PG_VERSION", "base/1"], True, False),  # initdb is at work
        (["PG_VERSION", "postmaster.opts", "base/1"], False, True),  # the server was started on it, in vain
        (["PG_VERSION", "postmaster.opts", "base/1", "base/4"], True, True),
        (["PG_VERSION", *WHOLE], False, False),  # initdb ended, or pg_basebackup put it there
        (["PG_VERSION", "postmaster.opts", *WHOLE], False, False),
        (["PG_VERSION", "postmaster.opts", "base/1", "base/4", "base/16385"], False, False),  # postgres was dropped
        (["PG_VERSION", "base/1", "base/16384"], False, False),
        (["PG_VERSION", "base/1", "pg_tblspc/16400"], False, False),
        (["base/1"], False, False),
        ([], False, False),
    ],
)
def test_never_served(paths: list[str], running: bool, expected: bool) -> None:
    assert never_served(paths, running) is expected


@pytest.mark.parametrize(("status", "found"), [(0, ["PG_VERSION", "base/1", "postmaster.opts"]), (1, [])])
def test_a_volume_is_read_by_a_container_that_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, found: list[str]
) -> None:
    program = tmp_path / "docker"
    paths = "PG_VERSION\nbase/1\npostmaster.opts"
    program.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/call; echo "{paths}"; exit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert look("shop-data", "postgres:16") == found
    call = (tmp_path / "call").read_text()
    mount = "type=volume,source=shop-data,target=/volume,readonly"
    assert call.startswith(f"run --rm --network none --mount {mount} --entrypoint sh postgres:16 -c ")
