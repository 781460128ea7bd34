# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables are wrapped once, as long as they are the same objects by the same names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.wrapped_variables import KEPT, Wrappers


def wrappers() -> tuple[Wrappers, list[Any]]:
    """Wrappers, and what they have wrapped."""
    wrapped: list[Any] = []

    def wrap(value: Any) -> tuple[Any]:
        wrapped.append(value)
        return (value,)

    return Wrappers(wrap), wrapped


def test_the_same_variables_are_wrapped_once() -> None:
    kept, wrapped = wrappers()
    variables: dict[str, Any] = {"a": 1, "b": [2]}
    assert kept.of(variables) == {"a": (1,), "b": ([2],)}
    variables["b"].append(3)
    assert kept.of(variables) == {"a": (1,), "b": ([2, 3],)}
    assert len(wrapped) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda variables: variables.update(b="another"),
        lambda variables: variables.update(c=3),
        lambda variables: variables.pop("a"),
        lambda variables: variables.update(a=variables.pop("a")),  # in another order
        lambda variables: (variables.pop("b"), variables.update(c=variables["a"])),
        lambda variables: variables.update(a=float(variables["a"])),  # equal, and not the same
    ],
)
def test_other_variables_are_wrapped_anew(change: Any) -> None:
    kept, wrapped = wrappers()
    variables = {"a": 1, "b": "two"}
    kept.of(variables)
    change(variables)
    found = kept.of(variables)
    assert list(found.items()) == [(name, (value,)) for name, value in variables.items()]
    assert all(type(wrapper[0]) is type(variables[name]) for name, wrapper in found.items())
    assert len(wrapped) == 2 + len(variables)


def test_sets_of_several_hosts_are_kept_beside_each_other_but_not_all_of_them() -> None:
    kept, wrapped = wrappers()
    hosts = [{"a": number} for number in range(KEPT + 1)]
    for _ in range(2):
        for variables in hosts[:KEPT]:
            assert kept.of(variables) == {"a": (variables["a"],)}
    assert len(wrapped) == KEPT
    kept.of(hosts[KEPT])
    kept.of(hosts[0])
    assert len(wrapped) == KEPT + 2
