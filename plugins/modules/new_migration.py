#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action ``new_migration``, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: new_migration
short_description: Write a new migration into its directory on the controller
version_added: 0.1.0
description:
  - Writes C(<UTC time>_<name>/migration.sql), and C(down.sql) where there is one, in Prisma's layout, as a whole or not
    at all. The new migration comes after all that are there, even where the clock of another machine was ahead.
  - What can't be known by a comparison (O(remarks)) or be derived (O(left)) stands as comments at the head of the file.
  - Writes nothing where there are no statements, unless it is to be O(empty).
options:
  path:
    description: Directory on the controller that holds the migrations.
    type: path
    required: true
  name:
    description: What it does, in letters, digits, C(_) and C(-).
    type: str
    default: ""
  statements:
    description: Its statements, as M(slipway.deploy.schema_change) returns them.
    type: list
    elements: str
    default: []
  down:
    description: The statements that take it back.
    type: list
    elements: str
    default: []
  no_down:
    description: Why it can't be taken back.
    type: str
    default: ""
  remarks:
    description: What is to be known of it.
    type: list
    elements: str
    default: []
  left:
    description: What is wanted and could not be derived.
    type: list
    elements: str
    default: []
  source:
    description: Where the wanted schema is described.
    type: str
    default: ""
  empty:
    description: Whether to write an empty file, to be filled by hand.
    type: bool
    default: false
  linted:
    description: Whether the linter's findings are among the warnings.
    type: bool
    default: true
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: A name that exists is refused; without a difference nothing is written.
seealso:
  - module: slipway.deploy.schema_change
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Write what was derived
  slipway.deploy.new_migration:
    path: "{{ playbook_dir }}/migrations"
    name: add_orders
    statements: "{{ change.statements }}"
    down: "{{ change.down }}"
    remarks: "{{ change.remarks }}"
"""

RETURN = r"""
migration:
  description: The name of the directory, also in check mode; empty where nothing is written.
  returned: success
  type: str
  sample: 20260301120000_add_orders
actions:
  description: What was written.
  returned: changed
  type: list
  elements: str
"""
