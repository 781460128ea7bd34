# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options by which the modules for migrations find the files and the history."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  path:
    description: Directory of the migrations on the controller, relative to the playbook or absolute.
    type: path
    required: true
  schema:
    description: Schema that holds the history and, first in the search path, takes the migrations' objects.
    type: str
    default: public
  _payload:
    description: What the action plugin has read there. Not to be given.
    type: str
requirements:
  - pglast on the controller
"""
