# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator told Slipway, checked on the controller before any host is touched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible_collections.slipway.deploy.plugins.lookup.generated_secret import PLACEHOLDER
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.combinations import (
    digest_problems,
    group_errors,
    problems,
    warnings,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.hosts import (
    connection_errors,
    entry_problems,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.names import (
    cut_errors,
    overridden_errors,
    own_names,
    taken_errors,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.secrets import secret_errors, vault_errors
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.values import (
    SOMEWHERE,
    Spec,
    role_errors,
    variable_errors,
)

display = Display()
COLLECTION = Path(__file__).parents[2]
ROLES = COLLECTION / "roles"
PLAYBOOKS = COLLECTION / "playbooks"
WIRING = PLAYBOOKS / "group_vars" / "all"
GIVEN_BY_NAME = frozenset(("app_release",))  # which Slipway derives unless -e says it (docs/application.md)
ENTRY_POINT = "main"
GROUPS = ("database", "backend", "frontend")
OF_ROLES = tuple(f"{role.name}_" for role in ROLES.iterdir())  # how the names of the roles' variables begin


def place_of(value: Any) -> str:
    """The file and line that a value comes from; '' when that is not known, or not a file."""
    try:  # not part of what Ansible promises, so that a place is all that would be missing
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return ""
    origin = Origin.get_tag(value)
    if origin is None or not origin.path:
        return ""
    return f"{origin.path}:{origin.line_num}" if origin.line_num else str(origin.path)


def load(file: Path) -> dict[str, Any]:
    """One of this collection's own files, of which names and specifications count: by the fast parser, untagged."""
    found: dict[str, Any] = yaml.load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        # As in check mode, so that reading a secret does not generate it: nothing is written before all is checked.
        arguments, variables = self._task.args, {**(task_vars or {}), "ansible_check_mode": True}
        spec, vault = arguments["variables"], arguments.get("vault_file") or ""
        wiring = {name: value for file in sorted(WIRING.glob("*.yml")) for name, value in load(file).items()}
        # What a vault that is not there would give is told by its name alone, and not by all that is made from it.
        no_vault = bool(vault) and not Path(vault).is_file()
        values, told, undefined = self.read_operator(spec, variables)
        groups, everywhere = variables.get("groups", {}), variables["hostvars"]
        hosts = dict.fromkeys(host for group in GROUPS for host in groups.get(group, []))
        errors = group_errors(groups) or told or ([] if no_vault else undefined)
        variables = self.settled({**variables, **values}, wiring)
        everyone, others = self.inventory_variables()
        places = {name: place_of(value) or place_of(name) for name, value in everyone.items()}
        errors += overridden_errors(places, wiring, spec)
        nearer = {name: f"in {place or 'the inventory'}" for name, place in places.items() if name not in wiring}
        nearer |= {name: f"in {place_of(value) or place_of(name) or 'the inventory'}" for name, value in others.items()}
        nearer |= dict.fromkeys(self._task._variable_manager.extra_vars.keys() - GIVEN_BY_NAME, "with -e")
        if "command" not in self._task._variable_manager.extra_vars:  # which one_off reads as it was typed
            errors += cut_errors(self._task._variable_manager.extra_vars)
        # What an operator may set is what Slipway says of it, and not what a variable says.
        errors += taken_errors(nearer, own_names(ROLES, PLAYBOOKS), wiring, wiring["preflight_variables"])
        errors += problems(values, groups)
        errors += connection_errors({host: everywhere.raw_get(host) for host in hosts})
        entries = groups.get("frontend", [])
        errors += entry_problems(values, groups, {host: everywhere[host].get("ansible_host", host) for host in entries})
        errors += digest_problems(values, spec) if arguments.get("digests") else []
        if vault:
            errors += vault_errors(Path(vault), [name for name in arguments["secrets"] if name in variables])
        if not no_vault:
            errors += secret_errors(self.read_secrets(arguments["secrets"], variables), vault)
        if not errors:  # what the roles' variables are made from is there
            for role in arguments["roles"]:
                errors += self.check_role(role, variables, wiring, spec)
        generated = self.read_secrets(arguments.get("generated") or [], variables).values()
        missing = PLACEHOLDER in generated
        if missing and arguments.get("secrets_needed") and not no_vault:
            errors.append(
                f"{arguments['secrets_file']} does not hold the database's passwords: deploy first or, where another "
                "controller has deployed, copy the file from there (mode 0600), or set the passwords in the inventory."
            )
        if errors:
            return {"failed": True, "msg": "\n".join(errors), "errors": errors}
        for warning in warnings(values):
            display.warning(warning)
        return {"changed": False, "secrets_missing": missing}

    def read_operator(self, spec: Spec, variables: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
        """The values that the operator sets in the inventory and with -e, the errors in them, and what they lack.

        What one lacks is most often another one that was told to be missing, so it counts where there is no error.
        """
        templar = self._templar.copy_with_new_env(available_variables=variables)
        values: dict[str, Any] = {}
        unreadable: list[str] = []
        undefined: list[str] = []
        for name in spec:
            if name in variables:
                try:
                    values[name] = templar.template(variables[name])
                except AnsibleError as error:
                    said = f"Variable {name} can't be read: {' '.join(str(error).split())}"
                    (undefined if isinstance(error, AnsibleUndefinedVariable) else unreadable).append(said)
        places = {name: place_of(variables[name]) for name in values}
        unread = {name: option for name, option in spec.items() if name in values or name not in variables}
        errors = unreadable + variable_errors(unread, values, places, self.home(variables))
        return values, errors, undefined

    def settled(self, variables: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """The variables with the values of those in ``names`` that are no role's, from which many are derived."""
        for name in [name for name in names if name in variables and not name.startswith(OF_ROLES)]:
            templar = self._templar.copy_with_new_env(available_variables=variables)
            with contextlib.suppress(AnsibleError):  # told, if it matters, where it is used
                variables = {**variables, name: templar.template(variables[name])}
        return variables

    @staticmethod
    def home(variables: Mapping[str, Any]) -> str:
        """Where the inventory's variables for all hosts are, or should be."""
        directory = variables.get("inventory_dir")
        if not directory:
            return SOMEWHERE
        group = Path(directory) / "group_vars"
        files = [group / "all.yml", group / "all" / "main.yml"]
        return str(next((file for file in files if file.exists()), variables.get("inventory_file") or files[0]))

    def inventory_variables(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the inventory sets for all hosts, which counts less than the wiring, and for some, which counts more."""
        inventory = self._task._variable_manager._inventory
        everyone = inventory.groups["all"]
        some = [group for group in inventory.groups.values() if group is not everyone] + list(inventory.hosts.values())
        found = []
        for entities in ([everyone], some):
            beside = get_vars_from_inventory_sources(self._loader, inventory._sources, entities, "task")
            found.append({name: value for entity in entities for name, value in entity.get_vars().items()} | beside)
        return found[0], found[1]

    def read_secrets(self, names: list[str], variables: Mapping[str, Any]) -> dict[str, str]:
        """The secrets' values, of those that are set; one that is made from what is not is empty."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        values = {}
        for name in names:
            if name in variables:
                try:
                    values[name] = str(templar.template(variables[name]))
                except AnsibleUndefinedVariable:
                    values[name] = ""
        return values

    def check_role(self, role: str, variables: Mapping[str, Any], wiring: Mapping[str, Any], spec: Spec) -> list[str]:
        """Errors in the variables of one role of this collection."""
        options = load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"][ENTRY_POINT]["options"]
        defaults = (
            self._loader.load_from_file(str(ROLES / role / "defaults" / "main.yml"), trusted_as_template=True) or {}
        )
        templar = self._templar.copy_with_new_env(available_variables={**defaults, **variables})
        values = {}
        for name in options:
            if name in defaults or name in variables:
                try:
                    values[name] = templar.template(variables.get(name, defaults.get(name)))
                except AnsibleError as error:
                    return [f"Variable {name} of role {role} can't be read: {' '.join(str(error).split())}"]
        return role_errors(role, options, values, wiring, spec)
