# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._release.spec import digest


def test_a_value_has_one_name_and_another_value_another() -> None:
    names = [digest(value) for value in ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 1, "b": [3]}, ["a"], "")]
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert all(len(name) == 12 and int(name, 16) >= 0 for name in names)
