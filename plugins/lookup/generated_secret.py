# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that are generated once and kept in one 0600 file on the controller."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import advice, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file

DOCUMENTATION = r"""
name: generated_secret
author: The Slipway contributors
short_description: A secret that is generated once and kept on the controller
description:
  - Returns the secret of the given name from O(file), and generates it first when it is not there.
  - A directory C(.slipway) above the file gets a C(.gitignore), so that no secret is committed.
  - In check mode nothing is written; a secret that does not exist yet is then a placeholder.
options:
  _terms:
    description: Names of the secrets.
    required: true
    type: list
    elements: str
  file:
    description: JSON file that holds the secrets, created with mode 0600 in a directory of mode 0700.
    required: true
    type: path
  generate:
    description:
      - Whether a secret that is not there is generated. Else it is the placeholder, as in check mode.
      - By default what the variable C(slipway_generate_secrets) says, and V(true) without it.
    type: bool
  default:
    description: What a secret is that is not there, in place of a generated one.
    type: str
  length:
    description: Number of letters and digits of a new secret.
    type: int
    default: 40
"""

EXAMPLES = r"""
- name: Use a password that exists only in this environment
  ansible.builtin.debug:
    msg: "{{ lookup('slipway.deploy.generated_secret', 'owner', file='.slipway/test/secrets.json') | length }}"
"""

RETURN = r"""
_raw:
  description: The secrets, in the order of their names.
  type: list
  elements: str
"""

PLACEHOLDER = "not-generated-in-check-mode"
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def load(file: Path) -> dict[str, str]:
    """Read the secrets kept in ``file``; an empty dict when there is no such file.

    Raises AnsibleError when others may read the file or when it is not a JSON object.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            mode = os.fstat(opened.fileno()).st_mode & 0o777
            kept = json.load(opened)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise AnsibleError(
            f"{file} is not JSON ({error}): restore it from a copy, or the passwords in it are lost."
        ) from None  # Ansible would print the cause a second time
    except OSError as error:
        raise AnsibleError(f"{file} can't be read: {plain(error)}; run as the user who owns it.") from None
    if mode & 0o077:
        raise AnsibleError(f"{file} holds secrets but has mode {mode:04o}: run `chmod 600 {file}` and run again.")
    if not isinstance(kept, dict):
        raise AnsibleError(f"{file} is not a JSON object: restore it from a copy, or the passwords in it are lost.")
    return kept


def hide_from_git(file: Path) -> None:
    """Have git take no notice of the directory ``.slipway`` that ``file`` is in, if it is in one."""
    for directory in file.absolute().parents:
        ignore = directory / ".gitignore"
        if directory.name == ".slipway" and not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")


def new_secret(length: int = 40) -> str:
    """Letters and digits that nobody can guess."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def keep(file: Path, change: Callable[[dict[str, str]], None]) -> dict[str, str]:
    """Change the secrets in ``file`` at one stroke, with no other run between; they as they are then.

    Raises AnsibleError when the file can't be read or written; it is then as it was.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        hide_from_git(file)
        with (file.parent / ".secrets.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = load(file)
            change(kept)
            replace_file(str(file), json.dumps(kept, indent=2, sort_keys=True))
    except OSError as error:
        raise AnsibleError(f"{file} can't be written: {plain(error)}; {advice(error)}.") from None
    return kept


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        file = Path(self.get_option("file"))
        length: int = self.get_option("length")
        kept = load(file)
        default: str | None = self.get_option("default")
        if default is not None:
            return [kept.get(name, default) for name in terms]
        if all(name in kept for name in terms):
            return [kept[name] for name in terms]
        if (variables or {}).get("ansible_check_mode") or not self._may_generate(variables or {}):
            return [kept.get(name, PLACEHOLDER) for name in terms]

        def generate(there: dict[str, str]) -> None:
            for name in terms:
                there.setdefault(name, new_secret(length))

        kept = keep(file, generate)
        return [kept[name] for name in terms]

    def _may_generate(self, variables: dict[str, Any]) -> bool:
        told = self.get_option("generate")
        if told is None:  # a variable is handed over as it is written
            told = self._templar.template(variables.get("slipway_generate_secrets", True))
        return bool(boolean(told))
