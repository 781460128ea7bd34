# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options by which a database is compared with what its migrations make."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  replay_login:
    description:
      - Another role, which may create databases, to make the scratch database that the migrations are replayed in. It
        belongs to the owner of O(login_db), and O(login_user) applies the migrations there.
      - In check mode nothing is replayed.
    type: dict
    suboptions:
      login_user:
        description: The role's name.
        type: str
        required: true
      login_password:
        description: Its password.
        type: str
        default: ""
"""
