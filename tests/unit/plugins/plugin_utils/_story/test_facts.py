# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the modules' results."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.facts import (
    ADVICE,
    FACTS,
    HIDDEN,
    UNEXPLAINED,
    changes,
    facts,
    message,
    parts,
    reason,
)

MIGRATIONS = {"applied_now": [], "pending": [], "status": "up_to_date"}
BACKUP = {"proved": True, "tables": {"public.a": 1, "public.b": 1203}, "rows": 1204, "size": 1_200_000}


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({}, {}),
        ({"names": ["a"], "problems": []}, {"names": "1 migration read"}),
        ({"names": ["of something else"]}, {}),
        ({"host": {"engine": "", "free_megabytes": 53_000}}, {"host": "53 GB free"}),
        ({"database": {"server_version": "18.4", "created": False}}, {"database": "PostgreSQL 18.4"}),
        (
            {"database": {"server_version": "18.4", "created": True}},
            {"database": "PostgreSQL 18.4, a new database"},
        ),
        ({"backup": BACKUP}, {"backup": "proved by a restore: 2 tables, 1,204 rows, 1.2 MB"}),
        (
            {"backup": {**BACKUP, "unproved": ["index a", "index b"]}},
            {"backup": "proved by a restore: 2 tables, 1,204 rows, 1.2 MB; not proved: index a; index b"},
        ),
        ({"backup": {"proved": False}}, {"backup": "would be taken and proved"}),
        ({"restore": {"tables": 9, "rows": 1, "backup": "b"}}, {"restore": "9 tables, 1 row of backup b"}),
        ({"migrations": MIGRATIONS}, {"migrations": "none pending"}),
        ({"migrations": {**MIGRATIONS, "status": "pending", "pending": ["a"]}}, {"migrations": "1 pending"}),
        (
            {"changed": True, "migrations": {**MIGRATIONS, "status": "pending", "pending": ["a"]}},
            {"migrations": "1 would be applied"},
        ),
        ({"migrations": {**MIGRATIONS, "applied_now": [{}, {}]}}, {"migrations": "2 rehearsed"}),
        ({"changed": True, "migrations": {**MIGRATIONS, "applied_now": [{}]}}, {"migrations": "1 applied"}),
        ({"migrations": {**MIGRATIONS, "status": "edited_whitespace"}}, {"migrations": "edited whitespace"}),
        ({"changed": True, "undone": ["a"]}, {"undone": "1 undone"}),
        ({"undone": ["a", "b"]}, {"undone": "2 to be undone"}),
        ({"drift_against": "", "drift": []}, {}),
        ({"drift_against": "replay", "drift": []}, {"drift_against": "no drift"}),
        ({"drift_against": "replay", "drift": [{}]}, {"drift_against": "1 difference"}),
        ({"schema": {"tables": [{}], "rows": 1110}}, {"schema": "1 table, 1,110 rows"}),
        ({"seed": {"due": True}}, {"seed": "to be filled"}),
        ({"seed": {"due": False, "wrote": True}}, {"seed": "filled"}),
        ({"seed": {"due": False}}, {"seed": "not due"}),
        ({"image": {"ref": "shop:1"}}, {"image": "image shop:1"}),
        ({"process": {"url": "http://127.0.0.1:1", "pid": 7}}, {"process": "serves at http://127.0.0.1:1"}),
        ({"process": {"url": "http://127.0.0.1:1", "pid": None}}, {}),
        ({"timings": {"test": 0.1, "switch": 0.11, "drain": 2}}, {"timings": "switch 0.1 s, drain 2.0 s"}),
    ],
)
def test_facts(result: dict[str, Any], told: dict[str, str]) -> None:
    assert facts(result) == told


@pytest.mark.parametrize("noun", FACTS)
@pytest.mark.parametrize("value", ["text", 7, ["list"], {"other": None}, {"proved": True}])
def test_what_is_not_as_expected_has_no_facts_and_breaks_nothing(noun: str, value: object) -> None:
    found = facts({noun: value})
    assert all(isinstance(text, str) for text in found.values())


def test_what_a_role_leaves_as_its_result_is_told_too() -> None:
    left = {"schema": {"tables": [1, 2], "rows": 3}}
    told = [facts(part) for part in parts({"ansible_facts": {"verify_result": left, "verify_other": left, "x": 1}})]
    assert told == [{}, {"schema": "2 tables, 3 rows"}]


def test_a_loop_has_the_results_of_its_items() -> None:
    assert list(parts({"results": [{"a": 1}, {"b": 2}]})) == [{"a": 1}, {"b": 2}]
    assert list(parts({"results": ["of a package manager"]})) == [{"results": ["of a package manager"]}]
    assert list(parts({"a": 1})) == [{"a": 1}]


@pytest.mark.parametrize(
    ("result", "named"),
    [
        ({}, []),
        ({"actions": ["Read it."]}, []),
        ({"changed": True, "actions": ["Did it.", "Did more."]}, ["Did it.", "Did more."]),
        ({"changed": True}, ["Start the server."]),
        ({"changed": True, "actions": "no list"}, ["Start the server."]),
    ],
)
def test_changes(result: dict[str, Any], named: list[str]) -> None:
    assert changes(result, "Start the server") == named


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({}, UNEXPLAINED),
        ({"msg": "The first line:\n  2 | the second\n"}, "The first line:\n  2 | the second"),
        ({"msg": "non-zero return code", "rc": 3, "stderr": "words\n", "stdout": "x"}, "non-zero return code\nwords"),
        ({"msg": "non-zero return code", "rc": 3, "stderr": "", "stdout": "x"}, "non-zero return code\nx"),
        ({"msg": "password", "censored": "by no_log"}, HIDDEN),
        ({"msg": ["a", "list"]}, "['a', 'list']"),
        ({"msg": "Missing sudo password"}, f"Missing sudo password\n{ADVICE['Missing sudo password']}"),
        (
            {"msg": "No result", "rc": 127, "module_stderr": "1\n2\n3\n4\n5\nsudo: not found\n", "module_stdout": ""},
            "No result\n2\n3\n4\n5\nsudo: not found",
        ),
    ],
)
def test_the_reason_of_a_failure(result: dict[str, Any], told: str) -> None:
    assert reason(result) == told


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"msg": "Nobody held the lock."}, "Nobody held the lock."),
        ({"msg": ["a", "  b"]}, "a\n  b"),
        ({"msg": "password", "censored": "by no_log"}, ""),
        ({"msg": {"a": 1}}, '{\n  "a": 1\n}'),
        ({"changed": False, "_internal": 1, "some.variable": 7}, '{\n  "some.variable": 7\n}'),
    ],
)
def test_the_message_of_a_task_that_is_there_to_say_it(result: dict[str, Any], told: str) -> None:
    assert message(result) == told
