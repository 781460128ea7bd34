# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.prune import (
    Container,
    Pruning,
    containers,
    insist_on_name,
    prune,
    to_prune,
)

RUNS = True


def test_containers_from_docker_ps() -> None:
    listing = '{"Names":"b","State":"running"}\n{"Names":"a","State":"exited"}\n{"Names":"c","State":"restarting"}\n'
    assert containers(listing) == [Container("b", RUNS), Container("a", False), Container("c", RUNS)]
    assert containers("") == []


@pytest.mark.parametrize("upstream", ["shop-1", "cafe", "", "no-such"])
def test_a_name_is_a_name(upstream: str) -> None:
    insist_on_name([Container("shop-1", RUNS, "cafe01"), Container("cafe", RUNS, "0123")], upstream)


def test_an_id_is_none() -> None:
    with pytest.raises(SlipwayError, match="cafe is the id of container shop-1, "):
        insist_on_name([Container("shop-1", RUNS, "cafe01")], "cafe")


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
    assert prune([Container(*item) for item in listed], "new", before, keep) == Pruning(stop, remove)


def test_actions_name_each_container_once() -> None:
    assert Pruning(["a", "b"], ["b", "c"]).actions == [
        "Stopped container a.", "Removed container b.", "Removed container c."
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("refs", "current", "keep", "gone"),
    [
        (["s:3", "s:2", "s:1"], "s:3", 1, ["s:1"]),
        (["s:3", "s:2", "s:1"], "s:3", 0, ["s:2", "s:1"]),
        (["s:3", "s:2", "s:1"], "s:1", 1, ["s:2"]),
        (["s:1"], "s:1", 0, []),
        ([], "s:1", 3, []),
    ],
)
def test_the_newest_others_are_kept(refs: list[str], current: str, keep: int, gone: list[str]) -> None:
    assert to_prune(refs, current, keep) == gone
