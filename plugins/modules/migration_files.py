#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of ``migration_files``; the work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_files
short_description: Check a directory of SQL migrations without a database
version_added: 0.1.0
description:
  - Reads C(<name>/migration.sql) below a directory on the controller and parses each with PostgreSQL's own parser.
  - Runs on the controller alone, so that a mistake is found before any host is touched.
options:
  path:
    description: Directory of the migrations on the controller, relative to the playbook or absolute.
    type: path
    required: true
  strict:
    description:
      - Fail at a file that could not be applied.
      - Turn it off where such files are known to be applied already, for example a baseline written by C(pg_dump) with
        data; M(slipway.deploy.migrations) then refuses those that are pending.
    type: bool
    default: true
  embedded:
    description: Whether the server is the one of M(slipway.deploy.embedded_postgres), which lacks most extensions and
      ICU. Then fail at the first file that needs what it lacks, which the parse tree tells.
    type: bool
    default: false
  extensions:
    description: Extensions that the administrator is to create, which an embedded server must have too.
    type: list
    elements: str
    default: []
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
requirements:
  - pglast on the controller
seealso:
  - module: slipway.deploy.migrations
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Check the migrations before anything is deployed
  slipway.deploy.migration_files:
    path: "{{ playbook_dir }}/migrations"
"""

RETURN = r"""
names:
  description: The migrations in the order in which they are applied.
  returned: success
  type: list
  elements: str
problems:
  description: What is wrong with single files, each with file, line, column and a caret where it has them.
  returned: success
  type: list
  elements: str
"""
