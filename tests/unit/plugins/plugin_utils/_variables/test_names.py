# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake is one sentence, and no sentence holds a secret."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.names import (
    cut_errors,
    operator_names,
    overridden_errors,
)

WIRING = {
    "backend_memory": "{{ app_memory | default('512M') }}",
    "database_owner": "{{ app_database }}_owner",
    "app_database": "{{ database_name | default(app_name) }}",
    "docker_engine_ready": True,
    "circle": "{{ circle }}",
    "schema_path": "{{ app_name ~ ('/a' if app_name is ansible.builtin.directory else '') }}",
    "preflight_roles": ["seed"],
}

KNOWN: dict[str, dict[str, object]] = {
    "app_memory": {},
    "app_name": {},
    "database_name": {},
    "backup_keep": {},
    "directory": {},
}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("backend_memory", ["app_memory"]),
        ("database_owner", ["database_name", "app_name"]),
        ("docker_engine_ready", []),
        ("circle", []),
        ("schema_path", ["app_name"]),
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


def test_what_was_cut_at_a_blank() -> None:
    assert cut_errors({"reason": "so", "_raw_params": "it is"}) == [
        "The words 'it is' of -e belong to no variable, since a blank ends a value: quote a value that has blanks once "
        """more, as in -e "reason='so it is'"."""
    ]
    assert cut_errors({"reason": "so it is"}) == []
