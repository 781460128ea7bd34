# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup as an inventory uses it: Ansible finds its options, and tells it of check mode."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from modules import run_ansible

pytestmark = pytest.mark.once


def length(home: Path, *flags: str) -> object:
    lookup = f"lookup('slipway.deploy.generated_secret', 'owner', file='{home}/state/secrets.json', length=50)"
    return run_ansible("ansible.builtin.debug", {"msg": f"{{{{ {lookup} | length }}}}"}, home, *flags)["msg"]


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    assert length(tmp_path, "--check") == len("not-generated-in-check-mode")
    assert not (tmp_path / "state").exists()
    assert length(tmp_path) == 50
    assert len(json.loads((tmp_path / "state" / "secrets.json").read_text())["owner"]) == 50
