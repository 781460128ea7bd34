# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps Python's garbage collector from copying the controller's memory into the process of each task."""

from __future__ import annotations

import gc
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: fork_memory
type: aggregate
short_description: Lets the processes of a run's tasks share the memory of the one that starts them
version_added: 0.1.0
author: The Slipway contributors
description:
  - Ansible starts a process for each task, a fork, which shares its parent's memory until it writes there. Python's
    garbage collector writes into all that it looks at, which is then copied, in each of these processes anew.
  - Before each task this takes what is there out of the collector's sight, as the documentation of Python's module gc
    advises for a process that forks, and has it look at the rest less often. Memory that is counted down to nothing is
    freed as ever.
requirements:
  - named in C(callbacks_enabled) in the configuration
"""

# Allocations before the youngest are looked at, and how many such looks before those that outlived them are. Python's
# own are 700, 10, 10.
THRESHOLDS = (20_000, 20, 50)


class CallbackModule(CallbackBase):
    """Freezes what is there before each task starts its process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "slipway.deploy.fork_memory"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        gc.set_threshold(*THRESHOLDS)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        gc.freeze()
