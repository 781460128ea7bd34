# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the operator's variables, with Ansible's own templating, inventory and roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from modules import run_ansible

pytestmark = pytest.mark.once

SECRET = "kQ7xLm2ZpR9t"
INVENTORY = "[database]\nlocalhost\n[backend]\nlocalhost\n"


def check(home: Path, variables: dict[str, object], inventory: str = INVENTORY) -> dict[str, Any]:
    (home / "hosts").write_text(inventory)
    arguments = {
        "variables": {"app_port": {"type": "int", "required": True}},
        "roles": ["verify"],
        "secrets": ["owner_password"],
        "vault_file": "",
    }
    flags = ("--inventory", str(home / "hosts"), "--extra-vars", json.dumps(variables))
    return run_ansible("slipway.deploy.check_variables", arguments, home, *flags)


GOOD: dict[str, object] = {
    "app_port": "{{ base | int + 80 }}",
    "base": "8000",
    "owner_password": "{{ vault_owner_password }}",
    "vault_owner_password": SECRET,
    **dict.fromkeys(["verify_owner", "verify_application", "verify_readonly", "verify_path"], "x"),
    "verify_application_login": {"login_user": "x"},
}


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        ({}, []),
        (
            {"app_port": "{{ base }}", "base": "http"},
            [
                "Variable app_port is 'http' and must be of type int: correct it in the inventory's group_vars or "
                "with -e.",
            ],
        ),
        (
            {"vault_owner_password": "CHANGE_ME", "verify_tables": {}},
            [
                "Secret owner_password still holds a placeholder: set it with `ansible-vault edit` in the inventory's "
                "vault.yml.",
                "Variable of role verify is wrong: argument 'verify_tables' is of type dict",
            ],
        ),
        (
            {"owner_password": "{{ vault_of_nobody }}"},
            ["Secret owner_password has 0 characters and needs 12: set it with `ansible-vault edit` in the inventory's "
             "vault.yml."],
        ),
    ],
)  # fmt: skip
def test_variables(tmp_path: Path, variables: dict[str, object], errors: list[str]) -> None:
    found = check(tmp_path, {**GOOD, **variables})
    said = [error.replace("<class 'dict'>", "dict") for error in found.get("errors", [])]
    assert len(said) == len(errors), found
    for sentence, start in zip(said, errors, strict=True):
        assert sentence.startswith(start)
    assert found.get("msg") == (found["errors"][0] if errors else None)
    assert SECRET not in json.dumps(found)


def test_group_without_hosts(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD, "[database]\nlocalhost\n")["msg"] == (
        "The inventory's group backend has no host: add one in hosts.yml."
    )
