# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations on the controller for the module ``schema_drift``."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.action import MigrationAction


class ActionModule(MigrationAction):
    """The action of ``schema_drift``."""
