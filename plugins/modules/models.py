# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: models
short_description: Write a database's tables as typed SQLAlchemy models
version_added: 0.1.0
author: The Slipway contributors
description:
  - Reads the tables and views of all schemas of a database, but for the history of migrations and what is Slipway's or
    an extension's, and writes them as SQLAlchemy models to a file of the controller.
  - The same schema always gives the same file. In check mode O(path) is compared with the schema and stays as it is.
  - The models are for reading and writing rows. What sqlacodegen can't say is not in them, which is indexes on
    expressions, and that an integer key has no default, for which SQLAlchemy would make a sequence.
  - It runs on the controller. A host that is reached by SSH is asked through a tunnel, which is closed again.
options:
  path:
    description: The Python file on the controller.
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment: [slipway.deploy.attributes, slipway.deploy.postgres]
requirements:
  - sqlacodegen beside Ansible
"""

EXAMPLES = r"""
- name: Write the models
  slipway.deploy.models:
    path: "{{ playbook_dir }}/../shop/models.py"
    login_unix_socket: /srv/shop/run
    login_user: shop_readonly
    login_password: "{{ vault_database_readonly_password }}"
    login_db: shop
"""

RETURN = r"""
models:
  description: The models.
  returned: success
  type: dict
  contains:
    path: {description: The file., type: str}
    tables: {description: How many tables and views., type: int}
    current: {description: Whether the file was as the schema is., type: bool}
    remarks: {description: What the models can't say of the schema., type: list, elements: str}
"""
