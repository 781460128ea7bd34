# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option by which rows are counted that row-level security hides."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  count_login:
    description: Another role, to count tables of which row-level security hides rows from O(login_user).
    type: dict
    suboptions:
      login_user:
        description: Its name.
        type: str
        required: true
      login_password:
        description: Its password.
        type: str
        default: ""
"""
