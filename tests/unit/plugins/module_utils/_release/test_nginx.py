# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx import (
    Container,
    Fault,
    Retirement,
    Wanted,
    containers,
    retire,
    workers,
)

RUNS = True


def test_containers_from_docker_ps() -> None:
    listing = '{"Names":"b","State":"running"}\n{"Names":"a","State":"exited"}\n{"Names":"c","State":"restarting"}\n'
    assert containers(listing) == [Container("b", RUNS), Container("a", False), Container("c", RUNS)]
    assert containers("") == []


@pytest.mark.parametrize(
    ("listed", "before", "keep", "stop", "remove"),
    [
        ([("new", RUNS)], "", 1, [], []),
        ([("new", RUNS), ("old", RUNS)], "old", 1, ["old"], []),
        ([("new", RUNS), ("old", RUNS)], "old", 0, ["old"], ["old"]),
        ([("new", RUNS), ("old", RUNS), ("older", False)], "old", 1, ["old"], ["older"]),
        # a second run keeps what the first one kept
        ([("new", RUNS), ("old", False)], "new", 1, [], []),
        # a release that was started but never served is not what a rollback wants
        ([("new", RUNS), ("failed", RUNS), ("old", RUNS)], "server old;", 1, ["old", "failed"], ["failed"]),
        # after a rollback the newer release is kept
        ([("newer", RUNS), ("new", RUNS)], "newer", 1, ["newer"], []),
    ],
)
def test_retire(listed: list[tuple[str, bool]], before: str, keep: int, stop: list[str], remove: list[str]) -> None:
    assert retire([Container(*item) for item in listed], "new", before, keep) == Retirement(stop, remove)


def test_actions_name_each_container_once() -> None:
    assert Retirement(["a", "b"], ["b", "c"]).actions == [
        "Stopped container a.", "Removed container b.", "Removed container c."
    ]  # fmt: skip


def test_workers_are_told_from_the_master() -> None:
    top = (
        "PID                 COMMAND\n"
        "11                  nginx: master process nginx -c x\n"
        "12                  nginx: worker process is shutting down\n"
        "14                  nginx: worker process\n"
        "15                  sleep 1\n"
    )
    assert workers(top) == {"12", "14"}


@pytest.mark.parametrize(
    ("wanted", "status", "headers", "fault"),
    [
        (Wanted("new"), 200, {"x-slipway-upstream": "new"}, None),
        (Wanted("new", "", "r2"), 200, {"x-slipway-upstream": "new"}, None),
        (Wanted("new", "X-Release", ""), 200, {"x-slipway-upstream": "new"}, None),
        (Wanted("new", "X-Release", "r2"), 204, {"x-slipway-upstream": "new", "x-release": "r2"}, None),
        (Wanted(""), 200, {}, None),
        (Wanted("", "X-Release", "r2"), 200, {"x-release": "r2"}, None),
        (Wanted("new"), 200, {"x-slipway-upstream": "old"}, Fault("URL is still led to old")),
        (Wanted("new"), 200, {}, Fault("another than this nginx answers at URL")),
        (Wanted("new"), 503, {"x-slipway-upstream": "new"}, Fault("URL answers 503")),
        (
            Wanted("new", "X-Release", "r2"),
            200,
            {"x-slipway-upstream": "new", "x-release": "dev"},
            Fault("container new answers with X-Release 'dev' instead of 'r2'", other_release=True),
        ),
        (
            Wanted("new", "X-Release", "r2"),
            200,
            {"x-slipway-upstream": "new"},
            Fault("container new answers without the header X-Release", other_release=True),
        ),
        (
            Wanted("", "X-Release", "r2"),
            200,
            {"x-release": "r1"},
            Fault("URL answers with X-Release 'r1' instead of 'r2'"),
        ),
        (Wanted("", "X-Release", "r2"), 200, {}, Fault("URL answers without the header X-Release")),
    ],
)
def test_what_is_wrong_with_an_answer(
    wanted: Wanted, status: int, headers: dict[str, str], fault: Fault | None
) -> None:
    assert wanted.fault("URL", status, headers) == fault
