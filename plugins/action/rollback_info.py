# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations with their ``down.sql`` on the controller for the module ``rollback_info``."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.action import MigrationAction


class ActionModule(MigrationAction):
    """The action of ``rollback_info``."""

    companion = "down"
