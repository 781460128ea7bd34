# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake is one sentence, and no sentence holds a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.secrets import secret_errors, vault_errors


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("kQ7xLm2ZpR9t", None),
        ("x" * 200, None),
        ("", "has 0 characters and needs 12"),
        ("kQ7xLm2ZpR9", "has 11 characters and needs 12"),
        ("CHANGE_ME_before_use", "still holds a placeholder"),
        ("changeme-changeme", "still holds a placeholder"),
        ("password123456", "still holds a placeholder"),
        ("<the owner's password>", "still holds a placeholder"),
        ("todo", "still holds a placeholder"),
    ],
)
def test_secret_errors(secret: str, reason: str | None) -> None:
    found = secret_errors({"fine": "kQ7xLm2ZpR9t", "owner_password": secret})
    if reason is None:
        assert found == []
    else:
        remedy = "set it with `ansible-vault edit` in the inventory's vault.yml"
        assert found == [f"Secret owner_password {reason}: {remedy}."]


def test_a_secrets_vault_is_named() -> None:
    assert secret_errors({"owner_password": ""}, "/i/vault.yml") == [
        "Secret owner_password has 0 characters and needs 12: set it with `ansible-vault edit /i/vault.yml`."
    ]


def test_vault_errors(tmp_path: Path) -> None:
    file = tmp_path / "vault.yml"
    assert vault_errors(file, ["owner", "app_key"]) == [
        f"{file} is missing: make it with `ansible-vault create {file}`, for app_key, owner."
    ]
    for plain in (b"", b"vault_x: 1\n", b"# $ANSIBLE_VAULT;1.1;AES256\n", b"\xff\xfe"):
        file.write_bytes(plain)
        assert vault_errors(file, ["owner", "app_key"]) == [
            f"{file} is not encrypted: run `ansible-vault encrypt {file}` before anything else."
        ]
    file.write_text("$ANSIBLE_VAULT;1.1;AES256\n6133\n")
    assert vault_errors(file, ["owner", "app_key"]) == []
