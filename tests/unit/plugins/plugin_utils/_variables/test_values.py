# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake is one sentence, and no sentence holds a secret."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.values import (
    role_errors,
    variable_errors,
    why_required,
)

OPERATOR: dict[str, dict[str, object]] = {
    "app_port": {"type": "int", "required": True},
    "app_runtime": {"type": "str", "choices": ["container", "process"]},
    "seeding": {"type": "bool"},
}

WHERE = ": correct it in the inventory's group_vars or with -e."

SET_IT = ": set it in the inventory's group_vars or with -e."

EMPTY: dict[str, tuple[dict[str, object], str | None]] = {
    "state_dir": ({"type": "path", "default": "APP_SOURCE/.slipway"}, "is empty" + WHERE[:-1] + ", or leave it out."),
    "app_name": ({"required": True}, "is not set and is required" + SET_IT),
    "app_source": (
        {"required": [{"app_image": None}]},
        "is not set and is required, since app_image is not set" + SET_IT,
    ),
    "app_port": ({"required": [{"app_image": "x"}]}, None),
    "reason": ({}, None),
    "app_release_header": ({"default": ""}, None),
}

CASES = [{"app_runtime": "process"}, {"app_image": None}]

KNOWN: dict[str, dict[str, object]] = {"app_memory": {}, "app_name": {}, "database_name": {}, "backup_keep": {}}


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        ({"app_port": 8080}, []),
        ({"app_port": "8080", "app_runtime": "process", "seeding": "yes"}, []),
        ({"app_port": "http"}, ["app_port is 'http' and must be of type int"]),
        ({"app_port": 1, "app_runtime": "vm"}, ["app_runtime is 'vm' and must be one of container, process"]),
        ({"app_port": 1, "seeding": "perhaps"}, ["seeding is 'perhaps' and must be of type bool"]),
        (
            {"app_port": [], "seeding": {}},
            ["app_port is [] and must be of type int", "seeding is {} and must be of type bool"],
        ),
    ],
)
def test_variable_errors(variables: dict[str, object], errors: list[str]) -> None:
    assert variable_errors(OPERATOR, variables) == [f"Variable {error}{WHERE}" for error in errors]


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize("name", EMPTY)
def test_what_has_a_default_or_must_be_set_is_not_empty(name: str, empty: str | None) -> None:
    """An empty directory of migrations would be no migrations, an empty state directory the root of the disk."""
    option, message = EMPTY[name]
    assert variable_errors({name: option}, {name: empty}) == ([f"Variable {name} {message}"] if message else [])


@pytest.mark.parametrize(
    ("required", "variables", "why"),
    [
        (True, {}, ""),
        (False, {}, None),
        (CASES, {"app_runtime": "process", "app_image": "x"}, ", since app_runtime is process"),
        (CASES, {"app_runtime": "container"}, ", since app_image is not set"),
        (CASES, {"app_runtime": "container", "app_image": "x"}, None),
        ([{"a": 1, "b": 2}], {"a": 1, "b": 2}, ", since a is 1 and b is 2"),
        ([{"a": 1, "b": 2}], {"a": 1, "b": 3}, None),
    ],
)
def test_what_is_required(required: bool | list[dict[str, object]], variables: dict[str, object], why: str) -> None:
    assert why_required(required, variables) == why
    spec: dict[str, dict[str, object]] = {"app_source": {"required": required}}
    expected = f"Variable app_source is not set and is required{why}: set it in /i/group_vars/all.yml or with -e."
    assert variable_errors(spec, variables, home="/i/group_vars/all.yml") == ([] if why is None else [expected])


def test_a_wrong_variable_is_named_with_its_place() -> None:
    assert variable_errors(OPERATOR, {"app_port": "x"}, {"app_port": "/i/all.yml:3"}) == [
        "Variable app_port is 'x' and must be of type int: correct it in /i/all.yml:3 or with -e."
    ]


@pytest.mark.parametrize(("path", "fine"), [("/a", True), ("~/a", True), ("", True), ("a/b", False), ("./a", False)])
def test_a_path_is_absolute(path: str, fine: bool) -> None:
    wrong = (
        f"Variable app_source is {path!r} and must be an absolute path, which may begin with {{{{ inventory_dir }}}}"
    )
    assert variable_errors({"app_source": {"type": "path"}}, {"app_source": path}) == ([] if fine else [wrong + WHERE])


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"x_path": "/m", "x_count": "3"}, None),
        ({"x_count": 3}, "missing required arguments: x_path"),
        ({"x_path": "/m", "x_count": "many"}, "argument 'x_count' is of type str and we were unable to convert to int"),
        ({"x_path": "/m", "x_kind": "c"}, "value of x_kind must be one of: a, b, got: c"),
        ({"x_path": "/m", "of_another_role": []}, None),
    ],
)
def test_role_errors(variables: dict[str, object], error: str | None) -> None:
    spec: dict[str, dict[str, object]] = {
        "x_path": {"type": "path", "required": True, "description": "Where."},
        "x_count": {"type": "int", "description": ["How many."]},
        "x_kind": {"type": "str", "choices": ["a", "b"]},
    }
    wiring = {"x_count": "{{ app_memory }}"}
    found = [message.replace("<class 'str'>", "str") for message in role_errors("x", spec, variables, wiring, KNOWN)]
    if error is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(f"Variable of role x is wrong: {error}")
        what = "app_memory" if "x_count" in error else "it"
        assert found[0].endswith(f"; correct {what} in the inventory's group_vars or with -e.")
    assert spec["x_path"]["description"] == "Where."
