# SPDX-License-Identifier: GPL-3.0-or-later
"""No variable stands for a backup, a proof, a rehearsal, a check or the lock: what Slipway finds itself is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.deploy.plugins.action.check_variables import (
    GIVEN_BY_NAME,
    PLAYBOOKS,
    ROLES,
    WIRING,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.names import own_names, taken_errors

ROOT = Path(__file__).parents[3]
WIRED: dict[str, Any] = {}
for path in WIRING.glob("*.yml"):
    WIRED |= yaml.safe_load(path.read_text())
OPERATOR: dict[str, dict[str, Any]] = WIRED["preflight_variables"]
# What would leave something out if it were given, and what for.
SKIPS = {
    "migrations_rehearsal_database": "the rehearsal",
    "migrations_pending": "the migrations, with their backup",
    "migrations_to_undo": "the undoing",
    "migrations_backup_directory": "the proof",
    "backup_needed": "the backup",
    "backup_due": "the backup",
    "backup_keep_scratch": "the rehearsal's copy",
    "backup_last": "the backup before a teardown",
    "backup_result": "the backup",
    "postgres_created": "the backup",
    "preflight_variables": "the check of the variables",
    "preflight_confirm": "the question",
    "verify_path": "the comparison with the files",
    "verify_pending_allowed": "the comparison with the files",
    "verify_schema": "the tables",
    "__verify_findings": "what was found",
    "deployment_force": "the lock",
    "deployment_directory": "the lock",
    "__deployment_lock": "the lock",
    "writes": "the lock",
    "compares": "the database's mark",
    "stopped": "the database's mark",
    "damaged": "the damaged backups",
}


def defined(found: Any) -> Iterator[str]:
    """Names that tasks, plays and their blocks define."""
    for each in found if isinstance(found, list) else [found]:
        yield from each.get("vars", {})
        yield from filter(None, [each.get("register")])
        yield from each.get("ansible.builtin.set_fact", {})
        for part in ("pre_tasks", "tasks", "post_tasks", "block", "rescue", "always"):
            yield from defined(each.get(part, []))
        for role in each.get("roles", []):
            yield from role.get("vars", {}) if isinstance(role, dict) else ()


def all_names() -> set[str]:
    """Every name that a role, a playbook or the wiring gives a value."""
    names = set(WIRED)
    for role in ROLES.iterdir():
        for file in role.glob("tasks/*.yml"):
            names |= set(defined(yaml.safe_load(file.read_text())))
        for file in (*role.glob("defaults/*.yml"), *role.glob("vars/*.yml")):
            names |= set(yaml.safe_load(file.read_text()))
        specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
        names |= {name for entry in specs.values() for name in entry.get("options", {})}
    for file in PLAYBOOKS.glob("*.yml"):
        names |= set(defined(yaml.safe_load(file.read_text())))
    return names


def test_every_name_that_is_not_the_operators_is_refused() -> None:
    names = all_names()
    told = taken_errors(dict.fromkeys(names, "with -e"), own_names(ROLES, PLAYBOOKS), WIRED, OPERATOR)
    refused = {message.split()[1] for message in told}
    # Ansible's own, of which a task asks what went wrong, and the name of a play.
    assert names - refused - OPERATOR.keys() == {"ansible_failed_result", "title"}
    assert refused & OPERATOR.keys() == set()
    assert refused >= SKIPS.keys()


@pytest.mark.parametrize("name", sorted(GIVEN_BY_NAME))
def test_what_is_derived_unless_it_is_given_is_documented(name: str) -> None:
    assert f"-e {name}=" in (ROOT / "docs" / "application.md").read_text()


@pytest.mark.parametrize(
    ("name", "where", "message"),
    [
        (
            "migrations_rehearsal_database", "with -e",
            "can't be set with -e, since Slipway derives it from database_name, app_name: set that instead.",
        ),
        ("backup_result", "with -e", "can't be set with -e, since Slipway finds it itself: leave it out."),
        ("backup_needed", "in /i/host_vars/db:2",
         "can't be set in /i/host_vars/db:2, since Slipway finds it itself: leave it out."),
        ("backup_keep", "with -e", None),
        ("backend_secret_of_the_applications_own", "with -e", None),
        ("target_host", "with -e", None),
    ],
)  # fmt: skip
def test_what_is_said(name: str, where: str, message: str | None) -> None:
    told = taken_errors({name: where}, own_names(ROLES, PLAYBOOKS), WIRED, OPERATOR)
    assert told == ([f"Variable {name} {message}"] if message else [])
