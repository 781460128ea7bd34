# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator told Slipway, checked on the controller before any host is touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

ROLES = Path(__file__).parents[2] / "roles"
ENCRYPTED = "$ANSIBLE_VAULT;"
# What an example holds in place of a secret.
PLACEHOLDERS = ("change_me", "changeme", "change-me", "placeholder", "replace_me", "todo", "secret", "password")
SHORTEST_SECRET = 12  # characters
ENTRY_POINT = "main"


def variable_errors(spec: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each of the operator's variables that is not set or not what its spec (an argument spec) says."""
    found = []
    for name, option in spec.items():
        value, kind, choices = variables.get(name), option.get("type", "str"), option.get("choices", [])
        if name not in variables:
            wrong = "is not set" if option.get("required") else ""
        elif choices and value not in choices:
            wrong = f"is {value!r} and must be one of {', '.join(choices)}"
        elif ArgumentSpecValidator({name: {"type": kind}}).validate({name: value}).error_messages:
            wrong = f"is {value!r} and must be of type {kind}"
        else:
            wrong = ""
        if wrong:
            found.append(f"Variable {name} {wrong}: correct it in the inventory's group_vars or with -e.")
    return found


def role_errors(role: str, spec: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
    """A sentence for each variable of a role that its ``argument_specs`` refuses."""
    options = {name: {**option} for name, option in spec.items()}
    for option in options.values():
        option.pop("description", None)
    given = {name: variables[name] for name in options if name in variables}
    result = ArgumentSpecValidator(options).validate(given)
    return [
        f"Variable of role {role} is wrong: {message}; correct it in the inventory's group_vars or with -e."
        for message in result.error_messages
    ]


def secret_errors(secrets: Mapping[str, str]) -> list[str]:
    """A sentence for each secret that is empty, short, or still an example's placeholder. Never the secret itself."""
    found = []
    for name, value in sorted(secrets.items()):
        if str(value).lower().startswith(PLACEHOLDERS) or str(value).startswith("<"):
            reason = "still holds a placeholder"
        elif len(str(value)) < SHORTEST_SECRET:
            reason = f"has {len(str(value))} characters and needs {SHORTEST_SECRET}"
        else:
            continue
        found.append(f"Secret {name} {reason}: set it with `ansible-vault edit` in the inventory's vault.yml.")
    return found


def vault_errors(file: Path) -> list[str]:
    """A sentence when the vault is missing or lies there in clear."""
    if not file.is_file():
        return [f"{file} is missing: make it with `ansible-vault create {file}`."]
    with file.open(encoding="utf-8", errors="replace") as opened:
        if opened.read(len(ENCRYPTED)) != ENCRYPTED:
            return [f"{file} is not encrypted: run `ansible-vault encrypt {file}` before anything else."]
    return []


def group_errors(groups: Mapping[str, list[str]]) -> list[str]:
    """A sentence when the inventory lacks what the plays run on."""
    found = []
    if len(groups.get("database", [])) != 1:
        found.append(
            f"The inventory's group database has {len(groups.get('database', []))} hosts and needs exactly one: "
            "correct hosts.yml."
        )
    if not groups.get("backend"):
        found.append("The inventory's group backend has no host: add one in hosts.yml.")
    return found


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        # As in check mode, so that reading a secret does not generate it: nothing is written before all is checked.
        arguments, variables = self._task.args, {**(task_vars or {}), "ansible_check_mode": True}
        errors = group_errors(variables.get("groups", {})) or self.check_operator(arguments["variables"], variables)
        if arguments.get("vault_file"):
            errors += vault_errors(Path(arguments["vault_file"]))
        if not errors:  # the secrets are readable
            errors += secret_errors(self.read_secrets(arguments["secrets"], variables))
            for role in arguments["roles"]:
                errors += self.check_role(role, variables)
        if errors:
            return {"failed": True, "msg": errors[0], "errors": errors}
        return {"changed": False}

    def check_operator(self, spec: Mapping[str, Mapping[str, Any]], variables: Mapping[str, Any]) -> list[str]:
        """Errors in the variables that the operator sets in the inventory and with -e."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        values = {}
        for name in spec:
            if name in variables:
                try:
                    values[name] = templar.template(variables[name])
                except AnsibleError as error:
                    return [f"Variable {name} can't be read: {' '.join(str(error).split())}"]
        return variable_errors(spec, values)

    def read_secrets(self, names: list[str], variables: Mapping[str, Any]) -> dict[str, str]:
        """The secrets' values; one that is not defined is empty."""
        templar = self._templar.copy_with_new_env(available_variables=variables)
        values = {}
        for name in names:
            try:
                values[name] = str(templar.template(variables.get(name, "")))
            except AnsibleUndefinedVariable:
                values[name] = ""
        return values

    def check_role(self, role: str, variables: Mapping[str, Any]) -> list[str]:
        """Errors in the variables of one role of this collection."""
        specs = self._loader.load_from_file(str(ROLES / role / "meta" / "argument_specs.yml"))
        options = specs["argument_specs"][ENTRY_POINT]["options"]
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
        return role_errors(role, options, values)
