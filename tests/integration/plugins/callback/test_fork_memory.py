# SPDX-License-Identifier: GPL-3.0-or-later
"""A task's process finds the collector with nothing of its parent's to look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.playbook import play

pytestmark = pytest.mark.once
LOOK = """\
- name: Look
  hosts: localhost
  gather_facts: false
  tasks:
    - name: At what the collector looks at
      ansible.builtin.debug:
        msg: "frozen {{ lookup('gc_counts') }}"
"""
LOOKUP = """\
import gc
from ansible.plugins.lookup import LookupBase
class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [f"{gc.get_freeze_count() > 50_000} {gc.get_threshold()[0]}"]
"""


@pytest.mark.parametrize(
    ("enabled", "found"), [("slipway.deploy.fork_memory", "True 20000"), ("slipway.deploy.payload_cache", "False 700")]
)
def test_what_was_there_before_the_task_is_frozen(tmp_path: Path, enabled: str, found: str) -> None:
    (tmp_path / "lookup_plugins").mkdir()
    (tmp_path / "lookup_plugins/gc_counts.py").write_text(LOOKUP)
    assert f"frozen {found}" in play(tmp_path, playbook=LOOK, ANSIBLE_CALLBACKS_ENABLED=enabled)
