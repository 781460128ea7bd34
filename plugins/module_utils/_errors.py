# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type that the core raises and that modules turn into a failed task."""

from __future__ import annotations


class SlipwayError(Exception):
    """Something the operator can act on: one sentence with what happened, the value, and what to do next.

    Further facts for the task's result (a plan, a list of findings) go into ``details``, a JSON-able dict.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details
