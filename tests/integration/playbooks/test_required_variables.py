# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has said nothing but the hosts is told all that is missing, in a sentence each, by whatever playbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.playbook import told_nothing

pytestmark = pytest.mark.once
MISSING = ["environment_name", "app_name", "app_runtime", "app_source", "database_runtime"]


@pytest.mark.parametrize("playbook", ["deploy", "playbooks/status", "playbooks/restore", "playbooks/health"])
def test_all_that_is_missing_is_told_at_once(tmp_path: Path, playbook: str) -> None:
    done = told_nothing(tmp_path, playbook)
    assert done.returncode == 2
    told = f"Variable (\\w+) is not set and is required.*: set it in {tmp_path}/hosts or with -e[.]"
    assert re.findall(told, done.stdout) == MISSING
    assert "undefined" not in done.stdout
