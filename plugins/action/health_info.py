# SPDX-License-Identifier: GPL-3.0-or-later
"""Says for the module ``health_info`` whether the run that left something behind is dead."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.stopping_action import StoppingAction


class ActionModule(StoppingAction):
    """The action of ``health_info``."""
