# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of a statement and the server's answer say about an attempt that was interrupted."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration import leftovers
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script
from ansible_collections.slipway.deploy.plugins.module_utils._migration.progress import Progress
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import parse


def script(text: str) -> Script:
    return parse(text.encode(), "m/1_a/migration.sql")


@pytest.mark.parametrize(
    ("sql", "code", "done"),
    [
        ("DROP INDEX CONCURRENTLY i", "42704", True),
        ("DROP INDEX CONCURRENTLY i", "42P01", False),
        ("ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", "42P01", True),
        ("CREATE DATABASE d", "42P04", True),
        ("DROP DATABASE d", "3D000", True),
        ("DROP DATABASE d", None, False),
        ("CREATE TABLESPACE s LOCATION '/s'", "42710", True),
        ("DROP TABLESPACE s", "42704", True),
        ("CREATE INDEX CONCURRENTLY i ON t (n)", "42P07", False),
        ("CREATE TABLE t ()", "42P07", False),
    ],
)
def test_an_answer_that_says_that_it_was_done_before(sql: str, code: str | None, done: bool) -> None:
    assert leftovers.says_done(script(sql).statements[0], code) is done


@pytest.mark.parametrize(
    ("sql", "harmless"),
    [
        ("CREATE INDEX CONCURRENTLY ON t (n)", True),
        ("REINDEX TABLE CONCURRENTLY t", True),
        ("DROP INDEX CONCURRENTLY i", True),
        ("ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", False),
        ("CREATE INDEX ON t (n)", False),
        ("VACUUM t", False),
    ],
)
def test_who_waits_behind_a_statement(sql: str, harmless: bool) -> None:
    assert leftovers.harmless_waiter(script(sql).statements[0]) is harmless


def test_the_second_half_of_a_detachment() -> None:
    (detach,) = script('ALTER TABLE s."P" DETACH PARTITION p1 CONCURRENTLY').statements
    finish = leftovers.completion(detach, "55000")
    assert finish == 'ALTER TABLE "s"."P" DETACH PARTITION "p1" FINALIZE'
    assert leftovers.completion(detach, "42P01") == ""
    assert leftovers.completion(script("VACUUM t").statements[0], "55000") == ""


HALF = "CREATE TABLE a ();\nVACUUM a;\nCALL p();"


@pytest.mark.parametrize(
    ("progress", "text", "said"),
    [
        (Progress.of(script(HALF), 1), HALF, ""),
        (Progress.of(script(HALF), 1, running=True), HALF, ""),
        (Progress.of(script(HALF), 2), HALF, ""),
        (
            Progress.of(script(HALF), 2),
            HALF.replace("a ()", "aa ()"),
            "The migration '1_a' is half-applied and the first 2 statements of m/1_a/migration.sql, which ",
        ),
        (
            Progress.of(script(HALF), 2, running=True),
            HALF,
            "The migration '1_a' is half-applied: its statement at m/1_a/migration.sql:3:1 commits by itself and was "
            "not finished, so that ",
        ),
    ],
)
def test_what_can_not_be_resumed(progress: Progress, text: str, said: str) -> None:
    found = leftovers.obstacle("1_a", script(text), progress)
    assert found.startswith(said)
    assert bool(found) is bool(said)


def test_how_the_last_attempt_failed_is_told_with_it() -> None:
    progress = Progress.of(script(HALF), 2, running=True)
    failed = Progress(progress.done, progress.digest, True, (), "division by zero\nCONTEXT: more")
    found = leftovers.obstacle("1_a", script(HALF), failed)
    assert "(division by zero): " in found
    assert found.endswith(leftovers.RESOLVE)
