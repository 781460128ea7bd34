# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is told to stop ends when the releases that are tried have ended."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.stopping_action import StoppingAction


class ActionModule(StoppingAction):
    """The action of ``release_probe``."""
