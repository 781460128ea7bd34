# SPDX-License-Identifier: GPL-3.0-or-later
"""What a secret must be before it is used, and how it is to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

ENCRYPTED = "$ANSIBLE_VAULT;"
# What an example holds in place of a secret.
PLACEHOLDERS = ("change_me", "changeme", "change-me", "placeholder", "replace_me", "todo", "secret", "password")
SHORTEST_SECRET = 12  # characters


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


def vault_errors(file: Path, secrets: Iterable[str]) -> list[str]:
    """A sentence when the vault that gives ``secrets`` is missing or lies there in clear."""
    if not file.is_file():
        return [f"{file} is missing: make it with `ansible-vault create {file}`, for {', '.join(sorted(secrets))}."]
    with file.open(encoding="utf-8", errors="replace") as opened:
        if opened.read(len(ENCRYPTED)) != ENCRYPTED:
            return [f"{file} is not encrypted: run `ansible-vault encrypt {file}` before anything else."]
    return []
