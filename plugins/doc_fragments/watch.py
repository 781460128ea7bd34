# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option by which those who are in a migration's way are named."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  watch_login:
    description: C(login_user) and C(login_password) of a role that may see the sessions of all roles, as a superuser or
      a member of pg_read_all_stats may. With it, messages name who holds the locks that are waited for.
    type: dict
    suboptions:
      login_user:
        description: The role.
        type: str
        required: true
      login_password:
        description: Its password.
        type: str
        default: ""
"""
