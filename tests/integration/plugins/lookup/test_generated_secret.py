# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a secret may be generated is a variable that Ansible templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.modules import run_ansible

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("may", "made"), [("{{ verb == 'deploy' }}", True), ("{{ verb == 'status' }}", False), (None, True)]
)
def test_a_variable_says_whether_secrets_are_generated(tmp_path: Path, may: str | None, made: bool) -> None:
    file = tmp_path / "secrets.json"
    flags = ["--extra-vars", "verb=deploy"]
    if may is not None:
        flags += ["--extra-vars", f'{{"slipway_generate_secrets": "{may}"}}']
    arguments = {"msg": f"{{{{ lookup('slipway.deploy.generated_secret', 'owner', file='{file}') }}}}"}
    found = run_ansible("ansible.builtin.debug", arguments, tmp_path, *flags)
    assert (len(found["msg"]) == 40, file.exists()) == (made, made)
    assert made or found["msg"] == "not-generated-in-check-mode"
