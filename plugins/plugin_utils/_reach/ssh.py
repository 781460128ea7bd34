# SPDX-License-Identifier: GPL-3.0-or-later
"""A command on a host that the operator's own terminal runs, reached as Ansible reaches the host."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.loader import connection_loader
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

# A connection of its own, which asks for nothing and forwards nothing else.
_PLAIN = ("-T", "-oBatchMode=yes", "-oControlPath=none", "-oClearAllForwardings=yes", "-oLogLevel=ERROR")
_SSH = ("ssh", "ansible.builtin.ssh", "smart")


def is_local(variables: Mapping[str, Any]) -> bool:
    """Whether the host with these variables is the controller itself. SlipwayError where it is reached in neither way.

    ``variables`` are the host's, templated, as ``hostvars[HOST]`` gives them.
    """
    connection = str(variables.get("ansible_connection") or context.CLIARGS.get("connection") or "ssh")
    if connection in ("local", "ansible.builtin.local"):
        return True
    if connection not in _SSH:
        raise SlipwayError(
            f"Host {variables.get('inventory_hostname', '')} is reached by the connection {connection!r}, which gives "
            "a command no terminal: set ansible_connection to ssh or local."
        )
    return False


def ssh_command(
    variables: Mapping[str, Any], argv: Sequence[str], tty: bool = False, options: Sequence[str] = ()
) -> list[str]:
    """What the controller runs so that ``argv`` runs on the host with these ``variables``; on itself, ``argv`` alone.

    Address, user, key and options are those of the connection plugin, wherever they were set. ``tty`` asks for a
    terminal there if there is one here. ``options`` are further ones of ssh(1), as for a tunnel, which may go without
    ``argv``. Raises SlipwayError as ``is_local`` does, and for a way of becoming another user that is not sudo.
    """
    if is_local(variables):
        return [*_elevated(variables, argv)]
    connection_loader.get("ssh", class_only=True)  # its options are known from then on
    get = C.config.get_plugin_options("connection", "ssh", variables=variables).get
    key = get("private_key_file")
    return [
        get("ssh_executable"),
        *shlex.split(get("ssh_args") or ""),
        *([] if get("host_key_checking") else ["-o", "StrictHostKeyChecking=no"]),
        *(["-o", f"Port={get('port')}"] if get("port") else []),
        *(["-o", f"IdentityFile={Path(key).expanduser()}"] if key else []),
        *(["-o", f"User={get('remote_user')}"] if get("remote_user") else []),
        *("-o", f"ConnectTimeout={get('timeout')}"),
        *shlex.split(get("ssh_common_args") or ""),
        *shlex.split(get("ssh_extra_args") or ""),
        *options,
        # Without a terminal here there is none there, which is no news.
        *(["-o", "LogLevel=ERROR", "-t"] if tty else []),
        get("host"),
        *([shlex.join(_elevated(variables, argv))] if argv else []),
    ]


def plain_ssh_command(variables: Mapping[str, Any], argv: Sequence[str]) -> list[str]:
    """As ``ssh_command``, for a program that has neither a terminal nor anybody who answers questions."""
    program, *words = ssh_command(variables, argv)
    return [program, *words] if is_local(variables) else [program, *_PLAIN, *words]


def python_of(variables: Mapping[str, Any]) -> str:
    """The Python that a command runs on the host with these ``variables``."""
    if is_local(variables):
        return sys.executable
    python = str(variables.get("ansible_python_interpreter") or "")
    return python if python.startswith("/") else "python3"  # it may be auto


def _elevated(variables: Mapping[str, Any], argv: Sequence[str]) -> list[str]:
    """The command as the user whom tasks become on the host, where they do."""
    said = variables.get("ansible_become", context.CLIARGS.get("become", False))
    if not argv or not boolean(said, strict=False):
        return list(argv)
    method = str(variables.get("ansible_become_method", context.CLIARGS.get("become_method") or "sudo"))
    if method not in ("sudo", "ansible.builtin.sudo"):
        raise SlipwayError(
            f"Host {variables.get('inventory_hostname', '')} has ansible_become_method {method!r}: a command on a "
            "terminal knows sudo alone."
        )
    user = str(variables.get("ansible_become_user", context.CLIARGS.get("become_user") or "root"))
    return ["sudo", f"--user={user}", "--", *argv]
