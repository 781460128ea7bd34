# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what each play of a run took to the file that TASKS_BY_PHASE names, for bench's no_op.py and release.py."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Counts tasks, and among them those whose module ran on a host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "tasks_by_phase"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        self.plays: list[dict[str, Any]] = []
        self.since = time.monotonic()
        self.began = 0.0

    def _close(self) -> None:
        now = time.monotonic()
        if self.plays:
            self.plays[-1]["seconds"] += now - self.since
        self.since = now

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Another play; those of one phase have its name before the colon."""
        self._close()
        name = play.get_name().partition(":")[0]
        if not self.plays or self.plays[-1]["name"] != name:
            self.plays.append({"name": name, "tasks": 0, "calls": 0, "seconds": 0.0})

    def v2_runner_on_start(self, _host: Any, _task: Any) -> None:
        """A task begins on a host, at seconds since the epoch."""
        self.began = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task went well; what a module says of itself has its arguments, and that of a switch its timings."""
        self.plays[-1]["tasks"] += 1
        if timings := result._result.get("timings"):
            self.plays[-1].setdefault("switches", []).append({"began": self.began, "told": time.time(), **timings})
        self.plays[-1]["calls"] += "invocation" in result._result

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end."""
        self._close()
        Path(os.environ["TASKS_BY_PHASE"]).write_text(json.dumps(self.plays))
