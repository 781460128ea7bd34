# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx import Fault, Wanted, workers


def test_workers_are_told_from_the_master() -> None:
    top = (
        "PID                 COMMAND\n"
        "11                  nginx: master process nginx -c x\n"
        "12                  nginx: worker process is shutting down\n"
        "14                  nginx: worker process\n"
        "15                  sleep 1\n"
    )
    assert workers(top) == {"12": False, "14": True}


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
