# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the operator's variables, with Ansible's own templating, inventory and roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.modules import run_ansible

pytestmark = pytest.mark.once

SECRET = "kQ7xLm2ZpR9t"
INVENTORY = "[database]\nlocalhost\n[backend]\nlocalhost\n"


def check(
    home: Path,
    told: dict[str, object],
    inventory: str = INVENTORY,
    known: list[str] | None = None,
    required: list[str] | None = None,
    wiring: dict[str, object] | None = None,
    vault: str = "",
) -> dict[str, Any]:
    """Check what is told by -e, with variables of the roles that are wired beside the playbooks."""
    (home / "hosts").write_text(inventory)
    wired = home / "playbooks" / "group_vars" / "all"
    wired.mkdir(parents=True)
    (wired / "wiring.yml").write_text(json.dumps({**WIRED, **(wiring or {})}))
    arguments = {
        "variables": {
            "app_port": {"type": "int", "required": True},
            **{name: {} for name in known or []},
            **{name: {"required": True} for name in required or []},
        },
        "roles": ["verify"],
        "secrets": ["owner_password"],
        "vault_file": vault,
    }
    flags = (
        "--inventory",
        str(home / "hosts"),
        "--playbook-dir",
        str(wired.parents[1]),
        "--extra-vars",
        json.dumps(told),
    )
    return run_ansible("slipway.deploy.check_variables", arguments, home, *flags)


GOOD: dict[str, object] = {
    "app_port": "{{ base | int + 80 }}",
    "base": "8000",
    "vault_owner_password": SECRET,
}
WIRED: dict[str, object] = {
    "owner_password": "{{ vault_owner_password }}",
    **dict.fromkeys(["verify_owner", "verify_application", "verify_readonly", "verify_path"], "x"),
    "verify_application_login": {"login_user": "x"},
    "verify_access": {},
}


@pytest.mark.parametrize(
    ("variables", "wiring", "errors"),
    [
        ({}, {}, []),
        (
            {"app_port": "{{ base }}", "base": "http"},
            {},
            [
                "Variable app_port is 'http' and must be of type int: correct it in the inventory's group_vars or "
                "with -e.",
            ],
        ),
        (
            {"vault_owner_password": "CHANGE_ME", "app_port": "x"},
            {},
            [
                "Variable app_port is 'x' and must be of type int: correct it in the inventory's group_vars or with "
                "-e.",
                "Secret owner_password still holds a placeholder: set it with `ansible-vault edit` in the inventory's "
                "vault.yml.",
            ],
        ),
        (
            {},
            {"verify_tables": {}},
            ["Variable of role verify is wrong: argument 'verify_tables' is of type dict"],
        ),
        (
            {},
            {"owner_password": "{{ vault_of_nobody }}"},
            ["Secret owner_password has 0 characters and needs 12: set it with `ansible-vault edit` in the inventory's "
             "vault.yml."],
        ),
    ],
)  # fmt: skip
def test_variables(tmp_path: Path, variables: dict[str, object], wiring: dict[str, object], errors: list[str]) -> None:
    found = check(tmp_path, {**GOOD, **variables}, wiring=wiring)
    said = [error.replace("<class 'dict'>", "dict") for error in found.get("errors", [])]
    assert len(said) == len(errors), found
    for sentence, start in zip(said, errors, strict=True):
        assert sentence.startswith(start)
    assert found.get("msg") == ("\n".join(found["errors"]) if errors else None)
    assert SECRET not in json.dumps(found)


def test_group_without_hosts(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD, "[database]\nlocalhost\n")["msg"] == (
        "The inventory's group backend has no host: add one in hosts.yml."
    )


def test_a_connection_that_would_lead_to_another_host(tmp_path: Path) -> None:
    made = "localhost ansible_connection=local\n[database]\nlocalhost\n[backend]\nlocalhost\nweb\n[frontend]\nfront\n"
    own = "[all:vars]\nansible_host='{{ inventory_hostname }}.lan'\n"
    site = {"app_domains": ["shop.example.com"], "app_certificate": "c", "app_certificate_key": "k"}
    told = check(tmp_path, {**GOOD, **site}, made + own, list(site))["errors"]
    assert len(told) == 2
    assert told[0].startswith("ansible_host of localhost is made from inventory_hostname, for which Ansible takes")
    assert told[1].startswith("ansible_host of front is front.lan, which is no IP address: set app_entry_addresses")


def test_what_the_wiring_overrides_is_refused_with_its_place_and_the_operators_name(tmp_path: Path) -> None:
    variables = tmp_path / "group_vars" / "all.yml"
    variables.parent.mkdir()
    variables.write_text("app_stop_timeout: 50\nbackend_stop_timeout: 60\npostgres_created: true\nmine: 1\n")
    backend = tmp_path / "group_vars" / "backend.yml"
    backend.write_text("backend_memory: 1G\n")  # would count
    inventory = f"{INVENTORY}[all:vars]\npostgres_version=16\n"
    told = {**GOOD, "verify_path": "elsewhere"}
    assert check(tmp_path, told, inventory, known=["app_stop_timeout", "database_version", "database_image"])[
        "errors"
    ] == [
        f"Variable backend_stop_timeout in {variables}:2 would have no effect, since Slipway derives it from "
        "app_stop_timeout: set that instead.",
        f"Variable postgres_created in {variables}:3 would have no effect, since Slipway sets it itself: remove it.",
        f"Variable postgres_version in {tmp_path}/hosts:6 would have no effect, since Slipway derives it from "
        "database_version: set that instead.",
        f"Variable backend_memory can't be set in {backend}:1, since Slipway derives it from app_memory: set that "
        "instead.",
        "Variable verify_path can't be set with -e, since Slipway derives it from app_migrations: set that instead.",
    ]


def test_a_vault_that_is_missing_is_said_and_not_what_it_would_give(tmp_path: Path) -> None:
    told = {**GOOD, "key": "{{ vault_key }}"}
    del told["vault_owner_password"]
    vault = str(tmp_path / "vault.yml")
    assert check(tmp_path, told, known=["key"], vault=vault)["errors"] == [
        f"{vault} is missing: make it with `ansible-vault create {vault}`, for owner_password."
    ]


def test_all_that_is_missing_is_said_at_once_and_where_to_set_it(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("a: 1\n")
    del (good := {**GOOD})["app_port"]
    where = f": set it in {tmp_path}/group_vars/all.yml or with -e."
    assert check(tmp_path, good, required=["app_name"])["msg"].splitlines() == [
        f"Variable app_port is not set and is required{where}",
        f"Variable app_name is not set and is required{where}",
    ]
