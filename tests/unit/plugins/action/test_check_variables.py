# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator told Slipway: each mistake is one sentence, and no sentence holds a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.action.check_variables import (
    group_errors,
    operator_names,
    overridden_errors,
    role_errors,
    secret_errors,
    variable_errors,
    vault_errors,
    why_required,
)

OPERATOR: dict[str, dict[str, object]] = {
    "app_port": {"type": "int", "required": True},
    "app_runtime": {"type": "str", "choices": ["container", "process"]},
    "seeding": {"type": "bool"},
}
WHERE = ": correct it in the inventory's group_vars or with -e."


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


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize("name", EMPTY)
def test_what_has_a_default_or_must_be_set_is_not_empty(name: str, empty: str | None) -> None:
    """An empty directory of migrations would be no migrations, an empty state directory the root of the disk."""
    option, message = EMPTY[name]
    assert variable_errors({name: option}, {name: empty}) == ([f"Variable {name} {message}"] if message else [])


CASES = [{"app_runtime": "process"}, {"app_image": None}]


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


WIRING = {
    "backend_memory": "{{ app_memory | default('512M') }}",
    "database_owner": "{{ app_database }}_owner",
    "app_database": "{{ database_name | default(app_name) }}",
    "docker_engine_ready": True,
    "circle": "{{ circle }}",
    "preflight_roles": ["seed"],
}
KNOWN: dict[str, dict[str, object]] = {"app_memory": {}, "app_name": {}, "database_name": {}, "backup_keep": {}}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("backend_memory", ["app_memory"]),
        ("database_owner", ["database_name", "app_name"]),
        ("docker_engine_ready", []),
        ("circle", []),
        ("nothing", []),
    ],
)
def test_operator_names(name: str, names: list[str]) -> None:
    assert operator_names(name, WIRING, KNOWN) == names


@pytest.mark.parametrize(
    ("places", "errors"),
    [
        ({"app_memory": "/i:1", "of_the_application": "/i:2", "backup_keep": "/i:3"}, []),
        ({"backend_memory": "/i:1"}, ["backend_memory in /i:1 ... derives it from app_memory: set that instead"]),
        (
            {"database_owner": ""},
            ["database_owner in the inventory ... derives it from database_name, app_name: set that instead"],
        ),
        (
            {"preflight_roles": "/i:9", "docker_engine_ready": "/i:3"},
            ["docker_engine_ready in /i:3 ... sets it itself: remove it",
             "preflight_roles in /i:9 ... sets it itself: remove it"],
        ),
    ],
)  # fmt: skip
def test_overridden_errors(places: dict[str, str], errors: list[str]) -> None:
    told = [error.replace("...", "would have no effect, since Slipway") for error in errors]
    assert overridden_errors(places, WIRING, KNOWN) == [f"Variable {error}." for error in told]


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


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("kQ7xLm2ZpR9t", None),
        ("x" * 200, None),
        ("", "has 0 characters and needs 12"),
        ("kQ7xLm2ZpR9", "has 11 characters and needs 12"),
        ("CHANGE_ME_before_use", "still holds a placeholder"),
        ("changeme-changeme", "still holds a placeholder"),
        ("password123456", "still holds a placeholder"),
        ("<the owner's password>", "still holds a placeholder"),
        ("todo", "still holds a placeholder"),
    ],
)
def test_secret_errors(secret: str, reason: str | None) -> None:
    found = secret_errors({"fine": "kQ7xLm2ZpR9t", "owner_password": secret})
    if reason is None:
        assert found == []
    else:
        remedy = "set it with `ansible-vault edit` in the inventory's vault.yml"
        assert found == [f"Secret owner_password {reason}: {remedy}."]


def test_a_secrets_vault_is_named() -> None:
    assert secret_errors({"owner_password": ""}, "/i/vault.yml") == [
        "Secret owner_password has 0 characters and needs 12: set it with `ansible-vault edit /i/vault.yml`."
    ]


def test_vault_errors(tmp_path: Path) -> None:
    file = tmp_path / "vault.yml"
    assert vault_errors(file) == [f"{file} is missing: make it with `ansible-vault create {file}`."]
    for plain in (b"", b"vault_x: 1\n", b"# $ANSIBLE_VAULT;1.1;AES256\n", b"\xff\xfe"):
        file.write_bytes(plain)
        assert vault_errors(file) == [
            f"{file} is not encrypted: run `ansible-vault encrypt {file}` before anything else."
        ]
    file.write_text("$ANSIBLE_VAULT;1.1;AES256\n6133\n")
    assert vault_errors(file) == []


NO_BACKEND = "The inventory's group backend has no host: add one in hosts.yml."


@pytest.mark.parametrize(
    ("groups", "errors"),
    [
        ({"database": ["a"], "backend": ["a", "b"]}, []),
        ({"database": ["a"], "backend": []}, [NO_BACKEND]),
        ({"database": ["a"]}, [NO_BACKEND]),
        (
            {"database": ["a", "b"], "backend": ["a"]},
            ["The inventory's group database has 2 hosts and needs exactly one: correct hosts.yml."],
        ),
        (
            {},
            ["The inventory's group database has 0 hosts and needs exactly one: correct hosts.yml.", NO_BACKEND],
        ),
    ],
)
def test_group_errors(groups: dict[str, list[str]], errors: list[str]) -> None:
    assert group_errors(groups) == errors
