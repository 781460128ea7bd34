# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees of a run: a failure is the sentence that explains it, not the result that holds it."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = r"""
name: story
type: stdout
short_description: Ansible's own output, but a failure is the sentence that explains it
version_added: 0.1.0
author: The Slipway contributors
description:
  - A task that fails shows its host, its name and its message, with the message's own lines, and nothing else of its
    result.
  - A task with the variable C(slipway_answer) is the answer to what the playbook was asked. Where that is no, the run
    ends with the exit status of a failure, for a script to see, and shows none.
  - With C(-v) the output is that of P(ansible.builtin.default#callback).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as C(stdout_callback) in the configuration
"""

ANSWER = "slipway_answer"
HIDDEN = "What it said is hidden, since it may hold secrets."
UNEXPLAINED = "It gave no reason: run again with -v to see all that it said."


def sentences(result: Mapping[str, Any]) -> str:
    """What a failed task's result says to a person."""
    if result.get("censored"):
        return HIDDEN
    said = [result.get("msg")]
    if "rc" in result:  # a command, whose message is but its exit status
        said.append(result.get("stderr") or result.get("stdout"))
    return "\n".join(str(text).strip() for text in said if text) or UNEXPLAINED


class CallbackModule(Default):
    """The default callback, with failures told in words."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "slipway.deploy.story"

    def __init__(self) -> None:
        super().__init__()
        self.answered: list[str] = []  # hosts

    def tell(self, kind: str, result: CallbackTaskResult, about: str = "", color: str = C.COLOR_ERROR) -> None:
        """One line with the host and the task, then the message."""
        if self._last_task_banner != result.task._uuid:
            self._print_task_banner(result.task)
        self._handle_warnings(result.result)
        text = textwrap.indent(sentences(result.result), "    ")
        head = f"{kind}: [{self.host_label(result)}] => {result.task.get_name().strip()}{about}"
        aside = color == C.COLOR_ERROR and self.get_option("display_failed_stderr")
        self._display.display(f"{head}\n{text}", color=color, stderr=aside)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        if self._display.verbosity:
            super().v2_runner_on_failed(result, ignore_errors)
        elif ANSWER in result.task.vars:
            self.answered.append(result.host.get_name())
            self.tell("answer", result, color=C.COLOR_CHANGED)
        elif not (result.task.loop and "results" in result.result):  # of a loop each item has told its own
            self.tell("failed", result)
            if ignore_errors:
                self._display.display("...ignoring", color=C.COLOR_SKIP)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        if self._display.verbosity:
            super().v2_runner_item_on_failed(result)
        else:
            self.tell("failed", result, f" (item={self._get_item_label(result.result)})")

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        if self._display.verbosity:
            super().v2_runner_on_unreachable(result)
        else:
            self.tell("unreachable", result)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        shown = copy.deepcopy(stats)  # other callbacks have their own idea of it
        for host in self.answered:
            shown.decrement("failures", host)
            shown.increment("ok", host)
        super().v2_playbook_on_stats(shown)
