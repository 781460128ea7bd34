# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verb that writes knows whose environment's database is before it does anything to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
VERBS = sorted(path for path in PLAYBOOKS.glob("*.yml") if path.name != "preflight.yml")
PHASES = yaml.safe_load((PLAYBOOKS / "group_vars" / "all" / "phases.yml").read_text())["phase_table"]
# What changes nothing, whatever it is given.
READERS = {
    "attestation_info",
    "backup_info",
    "certificate_info",
    "command_runs_info",
    "connection_info",
    "deployment_info",
    "foreground",
    "health_info",
    "logs",
    "migrations_info",
    "notify",
    "schema_drift",
    "schema_info",
    "show",
}
# What writes nothing but a file of the controller.
WRITERS_OF_SOURCE = {"models", "schema_sql"}
# What lets the operator do what he likes, in an environment that is the one he means.
SESSIONS = {"one_off"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def preflight(playbook: Path) -> dict[str, Any]:
    """What a verb tells the preflight, which comes before all else."""
    first = load(playbook)[0]
    assert first.get("ansible.builtin.import_playbook") == "preflight.yml", playbook
    told: dict[str, Any] = first["vars"]
    return told


def tasks(found: Any) -> list[dict[str, Any]]:
    """All tasks of a playbook or a role's file, in order; a play's role is a task that includes it."""
    if isinstance(found, list):
        return [task for each in found for task in tasks(each)]
    if not ("hosts" in found or "block" in found):
        return [found]
    roles = [{"ansible.builtin.include_role": role} for role in roles_of(found)]
    parts = [found.get(name, []) for name in ("pre_tasks", "tasks", "post_tasks", "block", "rescue", "always")]
    return roles + [task for part in parts for task in tasks(part)]


def roles_of(play: dict[str, Any]) -> list[dict[str, str]]:
    """The roles of a play with their entry points; role phase stands for those of its phases."""
    result = []
    for each in play.get("roles", []):
        name = each if isinstance(each, str) else each["role"]
        phases = [PHASES[phase] for phase in play["vars"]["phase_when"]] if name == "slipway.deploy.phase" else []
        result += [{"name": phase["role"], "tasks_from": phase.get("tasks", "main")} for phase in phases]
        result += [] if phases else [{"name": name}]
    return result


def modules(found: Any) -> list[tuple[str, dict[str, Any]]]:
    """The collection's modules among tasks, also those of the roles that they include: name and arguments."""
    result = []
    for task in tasks(found):
        for name, arguments in task.items():
            if name.startswith("slipway.deploy."):
                result.append((name.removeprefix("slipway.deploy."), arguments or {}))
            if name == "ansible.builtin.include_role":
                result += modules(load(included(task)))
    return result


def included(task: dict[str, Any]) -> Path:
    """The file of a role that a task includes."""
    arguments = task["ansible.builtin.include_role"]
    role, entry = arguments["name"].removeprefix("slipway.deploy."), arguments.get("tasks_from", "main")
    return PLAYBOOKS.parent / "roles" / role / "tasks" / f"{entry}.yml"


@pytest.mark.parametrize("playbook", VERBS, ids=lambda path: path.stem)
def test_a_verb_that_writes_compares_the_mark_first(playbook: Path) -> None:
    told = preflight(playbook)
    assert isinstance(told["writes"], bool)
    if told["writes"]:
        # What may make the database compares at once with that.
        # A page that says that the application is not available has nothing to do with the database, which may be ill.
        itself = ("deploy", "init_db", "new_migration", "recover", "maintenance")
        assert told.get("compares", True) is (playbook.stem not in itself)
        return
    used = modules(load(playbook)[1:])
    if playbook.stem == "unlock":  # writes no more than the lock; test_deployment.py: it compares
        assert {name for name, _arguments in used} == {"deployment"}
        assert used[0][1]["state"] == "broken"
    elif {name for name, _arguments in used} == {"session"}:  # in which the operator may write
        assert told["compares"] is True
    else:
        assert used
        names = {name for name, _arguments in used}
        assert names <= READERS | WRITERS_OF_SOURCE | SESSIONS
        assert told.get("compares", False) or not names & SESSIONS


def test_the_preflight_compares_before_the_lock_is_taken() -> None:
    [play] = [play for play in load(PLAYBOOKS / "preflight.yml") if play["hosts"] != "localhost"]
    steps = {
        (task["ansible.builtin.include_role"]["name"], task["ansible.builtin.include_role"].get("tasks_from")): task
        for task in play["tasks"]
        if "ansible.builtin.include_role" in task
    }
    order = list(steps)
    compare, lock = ("slipway.deploy.preflight", "database"), ("slipway.deploy.deployment", "lock")
    assert order.index(compare) < order.index(lock)
    assert steps[compare]["when"] == "compares | default(writes) and inventory_hostname in groups['database']"
    assert steps[lock]["when"] == "writes"
    [(module, _arguments)] = modules(load(PLAYBOOKS.parent / "roles/preflight/tasks/database.yml"))
    assert module == "environment_check"


@pytest.mark.parametrize("verb", ["deploy", "init_db", "new_migration", "recover"])
def test_what_may_make_the_database_compares_before_it_writes(verb: str) -> None:
    found = tasks(load(PLAYBOOKS / f"{verb}.yml")[1:])
    included = [task["ansible.builtin.include_role"] for task in found if "ansible.builtin.include_role" in task]
    # Those look for a backup, without the server.
    phases = [role["name"] for role in included if role.get("tasks_from") not in ("restic", "choose")]
    of_the_database = [name for name in phases if name.split(".")[-1] in ("postgres", "backup", "migrations", "seed")]
    assert of_the_database[0] == "slipway.deploy.postgres"
    [(module, arguments)] = modules(load(PLAYBOOKS.parent / "roles/postgres/tasks/database.yml"))
    assert module == "database"  # test_database.py: it refuses before it writes
    assert {"environment_name", "identity_file"} <= arguments.keys()


def test_each_phase_is_an_entry_point_of_its_role() -> None:
    for phase in PHASES.values():
        arguments = {"name": phase["role"], "tasks_from": phase.get("tasks", "main")}
        assert included({"ansible.builtin.include_role": arguments}).exists()


def test_a_deploy_is_eight_sentences() -> None:
    text = (PLAYBOOKS / "deploy.yml").read_text()
    assert len(text.splitlines()) <= 90
    plays = [play for play in load(PLAYBOOKS / "deploy.yml") if "hosts" in play]
    assert list(dict.fromkeys(play["name"][:5] for play in plays)) == [f"({number}/8)" for number in range(1, 9)]
    for play in plays:
        assert not {"tasks", "pre_tasks", "post_tasks"} & play.keys()
        assert play["any_errors_fatal"] is True


@pytest.mark.parametrize("playbook", VERBS, ids=lambda path: path.stem)
def test_every_phase_of_a_verb_is_in_the_table_and_used(playbook: Path) -> None:
    for play in load(playbook)[1:]:
        assert set(play.get("vars", {}).get("phase_when", {})) <= PHASES.keys()


def test_no_phase_of_the_table_is_unused() -> None:
    used = {phase for path in VERBS for play in load(path)[1:] for phase in play.get("vars", {}).get("phase_when", {})}
    assert used == PHASES.keys()


# What asks no module on the database's host: files of logs or of the controller, the lock, the catalogue by a tunnel.
ELSEWHERE = {"attest", "logs", "unlock", "generate"}


@pytest.mark.parametrize("playbook", VERBS, ids=lambda path: path.stem)
def test_a_verb_ends_what_a_killed_run_left(playbook: Path) -> None:
    """In a module that it calls anyway."""
    told, used = preflight(playbook), modules(load(playbook)[1:])
    if not told["writes"]:  # else it compares, here or as it makes the database
        ends = told.get("compares", False) or any("interrupted" in arguments for _name, arguments in used)
        assert ends is (playbook.stem not in ELSEWHERE)
    [(_module, arguments)] = modules(load(PLAYBOOKS.parent / "roles/preflight/tasks/database.yml"))
    assert "interrupted" in arguments
