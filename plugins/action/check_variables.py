# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator told Slipway, checked on the controller before any host is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible_collections.slipway.deploy.plugins.lookup.generated_secret import PLACEHOLDER
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.combinations import problems, warnings

display = Display()
COLLECTION = Path(__file__).parents[2]
ROLES = COLLECTION / "roles"
PLAYBOOKS = COLLECTION / "playbooks"
WIRING = PLAYBOOKS / "group_vars" / "all.yml"
# What the playbooks tell the preflight and note for themselves, under names that do not begin with a role's.
OF_PLAYBOOKS = frozenset((
    "chosen", "compares", "damaged", "drift", "found", "looks", "migrates", "serving", "slipway_answer", "stopped",
    "verb", "writes",
))  # fmt: skip
GIVEN_BY_NAME = frozenset(("app_release",))  # which Slipway derives unless -e says it (docs/application.md)
ENCRYPTED = "$ANSIBLE_VAULT;"
# What an example holds in place of a secret.
PLACEHOLDERS = ("change_me", "changeme", "change-me", "placeholder", "replace_me", "todo", "secret", "password")
SHORTEST_SECRET = 12  # characters
ENTRY_POINT = "main"
SOMEWHERE = "the inventory's group_vars"

Spec = Mapping[str, Mapping[str, Any]]


def why_required(required: bool | Iterable[Mapping[str, Any]], values: Mapping[str, Any]) -> str | None:
    """Why a variable must be set: '' always, a clause for the first case that holds, None when it need not be.

    A case names variables with their values; None stands for a variable that is not set.
    """
    if isinstance(required, bool):
        return "" if required else None
    for case in required:
        if all(values.get(name) == value for name, value in case.items()):
            return ", since " + " and ".join(
                f"{name} is {'not set' if value is None else value}" for name, value in case.items()
            )
    return None


def variable_errors(
    spec: Spec, values: Mapping[str, Any], places: Mapping[str, str] | None = None, home: str = SOMEWHERE
) -> list[str]:
    """A sentence for each of the operator's variables that is not set or not what its spec (an argument spec) says.

    ``places`` says where a variable is set, ``home`` where to set one that is not.
    """
    found = []
    for name, option in spec.items():
        value, kind, choices = values.get(name), option.get("type", "str"), option.get("choices", [])
        place = (places or {}).get(name) or SOMEWHERE
        why = why_required(option.get("required", False), values) if value in ("", None) else None
        if why is not None:
            found.append(f"Variable {name} is not set and is required{why}: set it in {home} or with -e.")
            continue
        if name not in values:
            continue
        if value in ("", None) and option.get("default"):
            found.append(f"Variable {name} is empty: correct it in {place} or with -e, or leave it out.")
            continue
        if choices and value not in choices:
            wrong = f"must be one of {', '.join(choices)}"
        elif ArgumentSpecValidator({name: {"type": kind}}).validate({name: value}).error_messages:
            wrong = f"must be of type {kind}"
        elif kind == "path" and value and not str(value).startswith(("/", "~")):
            wrong = "must be an absolute path, which may begin with {{ inventory_dir }}"
        else:
            continue
        found.append(f"Variable {name} is {value!r} and {wrong}: correct it in {place} or with -e.")
    return found


def operator_names(name: str, wiring: Mapping[str, Any], spec: Spec) -> list[str]:
    """The operator's variables from which the wiring derives ``name``: those that it names, else those behind them."""
    found: list[str] = []
    seen, level = {name}, [name]
    while level and not found:
        words = [word for each in level for word in re.findall(r"[a-z_]+", str(wiring.get(each, "")))]
        found = [word for word in dict.fromkeys(words) if word in spec]
        level = [word for word in dict.fromkeys(words) if word in wiring and word not in seen]
        seen.update(level)
    return found


def overridden_errors(places: Mapping[str, str], wiring: Mapping[str, Any], spec: Spec) -> list[str]:
    """A sentence for each variable of the inventory (name: place) that would count for nothing beside the wiring."""
    found = []
    for name, place in sorted(places.items()):
        if name not in wiring or name in spec:
            continue
        names = operator_names(name, wiring, spec)
        derived = f"derives it from {', '.join(names)}: set that instead" if names else "sets it itself: remove it"
        found.append(f"Variable {name} in {place or 'the inventory'} would have no effect, since Slipway {derived}.")
    return found


def own_names(roles: Path, playbooks: Path) -> frozenset[str]:
    """What the roles and playbooks call their options, results and private variables."""
    prefix = "|".join(role.name for role in roles.iterdir())
    defined = re.compile(rf"^[ -]*(?:register: )?((?:__)?(?:{prefix})_\w+)(?::|$)", re.MULTILINE)
    files = [*roles.glob("*/[dmtv]*/*.yml"), *playbooks.glob("*.yml")]
    return OF_PLAYBOOKS.union(*(defined.findall(file.read_text(encoding="utf-8")) for file in files))


def taken_errors(places: Mapping[str, str], own: Iterable[str], wiring: Mapping[str, Any], spec: Spec) -> list[str]:
    """A sentence for each of Slipway's own variables that is given (name: where) and would count in place of its own.

    With another value of it a run would leave out a backup, a proof, a rehearsal, a check or the lock.
    """
    found = []
    for name in sorted(places.keys() & {*own, *wiring} - spec.keys()):
        names = operator_names(name, wiring, spec)
        instead = f"derives it from {', '.join(names)}: set that instead" if names else "finds it itself: leave it out"
        found.append(f"Variable {name} can't be set {places[name]}, since Slipway {instead}.")
    return found


def role_errors(
    role: str, spec: Spec, variables: Mapping[str, Any], wiring: Mapping[str, Any], known: Spec
) -> list[str]:
    """A sentence for each variable of a role that its ``argument_specs`` refuses, with the operator's names for it."""
    found = []
    for name, option in spec.items():
        options = {name: {key: value for key, value in option.items() if key != "description"}}
        given = {name: variables[name]} if name in variables else {}
        what = ", ".join(operator_names(name, wiring, known)) or "it"
        found += [
            f"Variable of role {role} is wrong: {message}; correct {what} in {SOMEWHERE} or with -e."
            for message in ArgumentSpecValidator(options).validate(given).error_messages
        ]
    return found


def secret_errors(secrets: Mapping[str, str], vault: str = "") -> list[str]:
    """A sentence for each secret that is empty, short, or still an example's placeholder. Never the secret itself."""
    found = []
    for name, value in sorted(secrets.items()):
        if str(value).lower().startswith(PLACEHOLDERS) or str(value).startswith("<"):
            reason = "still holds a placeholder"
        elif len(str(value)) < SHORTEST_SECRET:
            reason = f"has {len(str(value))} characters and needs {SHORTEST_SECRET}"
        else:
            continue
        edit = f"`ansible-vault edit {vault}`" if vault else "`ansible-vault edit` in the inventory's vault.yml"
        found.append(f"Secret {name} {reason}: set it with {edit}.")
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


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        # As in check mode, so that reading a secret does not generate it: nothing is written before all is checked.
        arguments, variables = self._task.args, {**(task_vars or {}), "ansible_check_mode": True}
        spec, vault = arguments["variables"], arguments.get("vault_file") or ""
        wiring = self._loader.load_from_file(str(WIRING))
        values, told = self.read_operator(spec, variables)
        errors = group_errors(variables.get("groups", {})) or told
        variables = {**variables, **values}  # what is derived from them need not derive them each time
        everyone, others = self.inventory_variables()
        places = {name: place_of(value) or place_of(name) for name, value in everyone.items()}
        errors += overridden_errors(places, wiring, spec)
        nearer = {name: f"in {place or 'the inventory'}" for name, place in places.items() if name not in wiring}
        nearer |= {name: f"in {place_of(value) or place_of(name) or 'the inventory'}" for name, value in others.items()}
        nearer |= dict.fromkeys(self._task._variable_manager.extra_vars.keys() - GIVEN_BY_NAME, "with -e")
        # What an operator may set is what Slipway says of it, and not what a variable says.
        errors += taken_errors(nearer, own_names(ROLES, PLAYBOOKS), wiring, wiring["preflight_variables"])
        errors += problems(values, variables.get("groups", {}))
        if vault:
            errors += vault_errors(Path(vault))
        errors += secret_errors(self.read_secrets(arguments["secrets"], variables), vault)
        if not errors:  # what the roles' variables are made from is there
            for role in arguments["roles"]:
                errors += self.check_role(role, variables, wiring, spec)
        generated = self.read_secrets(arguments.get("generated") or [], variables).values()
        missing = PLACEHOLDER in generated
        if missing and arguments.get("secrets_needed"):
            errors.append(
                f"{arguments['secrets_file']} does not hold the database's passwords: deploy first or, where another "
                "controller has deployed, copy the file from there (mode 0600), or set the passwords in the inventory."
            )
        if errors:
            return {"failed": True, "msg": "\n".join(errors), "errors": errors}
        for warning in warnings(values):
            display.warning(warning)
        return {"changed": False, "secrets_missing": missing}

    def read_operator(self, spec: Spec, variables: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The values that the operator sets in the inventory and with -e, and the errors in them."""
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
        return values, errors or undefined  # what another one lacks is most often one that was told to be missing

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
        return role_errors(role, options, values, wiring, spec)
