# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations with their ``down.sql`` on the controller for the module ``migration_down``."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.action.migrations import ActionModule as MigrationsAction


class ActionModule(MigrationsAction):
    """The action of ``migration_down``."""

    beside = "down"
