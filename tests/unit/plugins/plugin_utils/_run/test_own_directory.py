# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run from it nobody else could have put there, and it does not grow without end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.own_directory import KEPT, own_directory


def test_those_used_last_stay(tmp_path: Path) -> None:
    payloads = tmp_path / "slipway/payloads"
    payloads.parent.mkdir(mode=0o700)
    payloads.mkdir(mode=0o700)
    for age in range(KEPT + 2):
        former = payloads / str(age)
        former.mkdir()
        os.utime(former, (1000 + age, 1000 + age))
    own = own_directory(tmp_path, "payloads", "mine")
    assert own == payloads / "mine"
    assert {path.name for path in payloads.iterdir()} == {"mine", *(str(age + 2) for age in range(1, KEPT))}


def test_it_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o002)
    try:
        own = own_directory(tmp_path / "home", "payloads", "mine")
    finally:
        os.umask(former)
    assert [each.stat().st_mode & 0o777 for each in (own, own.parent, own.parent.parent)] == [0o700] * 3


@pytest.mark.parametrize("place", ["slipway", "slipway/payloads", "slipway/payloads/mine"])
def test_what_others_may_write_to_is_not_used(tmp_path: Path, place: str) -> None:
    own_directory(tmp_path, "payloads", "mine")
    (tmp_path / place).chmod(0o770)
    with pytest.raises(PermissionError, match="is not used, since others may write to it"):
        own_directory(tmp_path, "payloads", "mine")
