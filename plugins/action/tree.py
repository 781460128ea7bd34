# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's side of the module ``tree``: digest the directory, send it only where it is missing."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.plugin_utils._release.tree_action import TreeAction


class ActionModule(TreeAction):
    pass
