# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that name the roles of an application's database."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  owner:
    description: Role that owns the database.
    type: str
    required: true
  application:
    description: Role of the application.
    type: str
    required: true
  application_password:
    description: Password of the application's login, to see that it is let in. Without it that is not tried.
    type: str
  application_login:
    description: What the application logs in as, where that is not O(application) itself.
    type: str
    default: ""
  readonly:
    description: Role that only reads.
    type: str
    required: true
"""
