# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an operator's variables taken together, though each by itself is what it may be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.slipway.deploy.plugins.module_utils._release import workers
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.site import site_problems

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
# PostgreSQL cuts a name at 63 bytes; roles and copies of a database have up to 9 more in theirs (_readonly).
_LONGEST_DATABASE = 54
# In which libpq may go on without TLS (PostgreSQL manual, section 34.1.2).
_CLEAR = ("disable", "allow", "prefer")
# name@sha256:…, also with a tag, or the ID of an image that is on the host.
_DIGEST = re.compile(r"(.+@)?sha256:[0-9a-f]{64}")
HOOKS = ("before_migrate", "after_migrate", "before_release", "after_release", "on_failure")


def image_major(image: str) -> int:
    """The major version in an image's tag; 0 where it shows none.

    ``registry.example.com:5000/postgres:17.2-bookworm@sha256:…`` is one of 17.
    """
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = re.match(r"\d+", tag)
    return int(found[0]) if found else 0


def is_local(host: str) -> bool:
    """Whether a server is reached without a network: by a socket's directory or the loopback interface."""
    return host in ("localhost", "::1") or host.startswith(("127.", "/"))


def hook_problems(hooks: Mapping[str, Any]) -> list[str]:
    """A sentence for each hook that there is none of, or whose commands are none."""
    found = [
        f"app_hooks has {name}, which is no hook: use {', '.join(HOOKS[:-1])} or {HOOKS[-1]}."
        for name in hooks
        if name not in HOOKS
    ]
    for name, given in hooks.items():
        commands = given if isinstance(given, list) and given and isinstance(given[0], list) else [given]
        if not all(
            isinstance(each, list) and each and all(isinstance(word, str) for word in each) for each in commands
        ):
            found.append(
                f"The hook {name} of app_hooks is {given!r} and must be a command as a list of words, such as "
                "[python, manage.py, check], or a list of such lists: correct it in the inventory."
            )
    return found


def secret_file_problems(names: Collection[Any], environment: Any) -> list[str]:
    """A sentence for each variable that is to be a file and that the application's environment does not have."""
    known = environment if isinstance(environment, Mapping) else {"DATABASE_URL": ""}
    return [
        f"app_secrets_as_files has {name}, which app_env does not set: use {', '.join(known) or 'none'}."
        for name in names
        if name not in known
    ] + [
        f"app_secrets_as_files has {name}, but app_env sets {name}_FILE too: leave one of them out."
        for name in names
        if f"{name}_FILE" in known
    ]


def digest_problems(values: Mapping[str, Any], spec: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each image of somebody else's that is not named by its digest, where that is insisted on.

    ``values`` are those that are set; what a deploy takes where they are not is the ``default`` in ``spec``.
    """
    wanted = values.get("image_digests", "required" if values.get("environment_name") == "prod" else "optional")
    if wanted != "required":
        return []
    used = {
        "database_image": values.get("database_runtime") == "container",
        "frontend_base_image": values.get("app_runtime") == "container",
    }
    images = {name: str(values.get(name) or spec[name]["default"]) for name, is_used in used.items() if is_used}
    return [
        f"{name} is {image}, whose tag can move to another image between two deploys: name it by its digest, which "
        f"docker image inspect --format '{{{{.RepoDigests}}}}' {image} shows where it was pulled "
        f"({image.partition('@')[0]}@sha256:…), or set image_digests to optional."
        for name, image in images.items()
        if not _DIGEST.fullmatch(image)
    ]


def registry_problems(registries: Mapping[str, Any]) -> list[str]:
    """A sentence for each registry whose name is none, or that says not who pulls. Never what it does say."""
    found = []
    for name, about in registries.items():
        if "/" in name:
            found.append(
                f"app_registries has {name}, which is no registry's name: write its host alone, such as ghcr.io or "
                "registry.example.com:5000."
            )
        if not isinstance(about, Mapping) or not all(about.get(key) for key in ("username", "password")):
            found.append(f"app_registries does not say who pulls from {name}: give it a username and a password.")
    return found


def proof_problems(host: str, groups: Mapping[str, Collection[str]]) -> list[str]:
    """A sentence when the host for copies is none, or can't be one; none where ``host`` is empty."""
    if host and host not in groups.get("all", ()):
        return [
            f"backup_proof_host is {host}, which is no host of the inventory: add it to hosts.yml, outside of the "
            "group database, or correct the name."
        ]
    if host in groups.get("database", ()):
        return [
            f"backup_proof_host is {host}, which is the database's own host: name another one, or set "
            "backup_proof_server to own in its place."
        ]
    return []


def address_problems(address: str, runtime: str, *, elsewhere: bool) -> list[str]:
    """A sentence where the database's ``address`` is none for other hosts, or lacks with a backend ``elsewhere``."""
    if runtime == "container" and elsewhere and not address:
        return [
            "The backend is on another host than the database, whose container publishes no port: set database_address "
            "to the database host's IP address in the network that the hosts share, or put both on one host."
        ]
    if address and runtime != "container":
        return [
            f"database_address is {address} but database_runtime is {runtime}: take it out; it publishes the port of a "
            "container alone."
        ]
    try:
        found = ipaddress.ip_address(address) if address else None
    except ValueError:
        return [
            f"database_address is {address}, which is no IP address: give the database host's in the network that the "
            "hosts share, such as 10.0.0.5."
        ]
    if found and (found.is_unspecified or found.is_loopback):
        return [
            f"database_address is {address}, which "
            + ("is every network of the host" if found.is_unspecified else "no other host reaches")
            + ": give the database host's address in the network that the hosts share, such as 10.0.0.5."
        ]
    return []


def problems(values: Mapping[str, Any], groups: Mapping[str, Collection[str]]) -> list[str]:
    """A sentence for each contradiction. ``values`` are those that are set, ``groups`` the hosts of the inventory's."""
    runtime, database = values.get("app_runtime", ""), values.get("database_runtime", "")
    found = [
        f"Variable {name} is {values[name]} and may hold lower-case letters, digits, - and _ only: correct it in the "
        "inventory."
        for name in ("app_name", "environment_name")
        if name in values and not _NAME.fullmatch(str(values[name]))
    ]
    name = str(values.get("database_name", values.get("app_name", "")))
    if len(name.encode()) > _LONGEST_DATABASE:
        found.append(
            f"The database would be called {name}, but PostgreSQL cuts names at 63 bytes, and roles and copies have up "
            "to 9 more in theirs (_readonly): set database_name to one of at most 54 bytes."
        )
    image = values.get("database_image", "")
    if database == "container" and image and not values.get("database_version") and not image_major(image):
        found.append(f"database_image {image} does not show its major version: set database_version, such as 17.")
    if (runtime, database) == ("container", "embedded"):
        found.append(
            "app_runtime is container but database_runtime is embedded, whose socket a container does not see: set "
            "both to container."
        )
    if (runtime, database) == ("process", "container"):
        found.append(
            "app_runtime is process but database_runtime is container, whose network a process is not on: set both to "
            "container."
        )
    elsewhere = bool(set(groups.get("backend", ())) - set(groups.get("database", ())))
    found += address_problems(str(values.get("database_address") or ""), str(database), elsewhere=elsewhere)
    if boolean(values.get("monitoring", False), strict=False) and database == "embedded":
        found.append(
            "monitoring is true but database_runtime is embedded, which runs without root and systemd, whose service "
            "the exporter would be: set monitoring to false, or database_runtime to container or external."
        )
    hooks = values.get("app_hooks", {})
    found += hook_problems(hooks if isinstance(hooks, Mapping) else {})  # what is none is told elsewhere
    processes = values.get("app_processes", {})
    found += workers.problems(processes if isinstance(processes, Mapping) else {})
    alone = values.get("backup_offsite") and not values.get("backup_offsite_password")
    if alone and values.get("environment_name") == "prod":
        found.append(
            "backup_offsite is set but backup_offsite_password is not, without which nobody reads the backups there: "
            "set it in vault.yml, and keep it in another place too."
        )
    names = values.get("app_secrets_as_files", [])
    found += secret_file_problems(names if isinstance(names, list) else [], values.get("app_env"))
    registries = values.get("app_registries", {})
    found += registry_problems(registries if isinstance(registries, Mapping) else {})
    found += proof_problems(str(values.get("backup_proof_host") or ""), groups)
    if boolean(values.get("delete_data", False), strict=False) and database == "external":
        found.append(
            "delete_data is true but database_runtime is external: Slipway deletes no database on a server of somebody "
            "else; drop it there."
        )
    return found + site_problems(values)


def warnings(values: Mapping[str, Any]) -> list[str]:
    """A sentence for each combination that works and is not what production wants."""
    mode = values.get("database_ssl_mode", "require")
    remote = values.get("database_runtime") == "external" and not is_local(str(values.get("database_host", "")))
    if values.get("environment_name") == "prod" and remote and mode in _CLEAR:
        return [
            f"database_ssl_mode is {mode}, so that passwords and rows may cross the network in clear: set "
            "database_ca_cert, and leave it at verify-full."
        ]
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
