# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an operator's variables, each by itself, and with what roles get of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.names import operator_names

Spec = Mapping[str, Mapping[str, Any]]
SOMEWHERE = "the inventory's group_vars"


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
