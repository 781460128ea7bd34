# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the module ``schema_push`` be stopped."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.stopping_action import StoppingAction


class ActionModule(StoppingAction):
    """The action of ``schema_push``."""
