# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: session
short_description: Open psql or the studio on a host's database in the terminal when the playbook has ended
version_added: 0.1.0
author: The Slipway contributors
description:
  - Finds the way from the controller to the database that a host reaches, and has M(slipway.deploy.foreground) begin a
    program with it. On a local connection the program connects directly. Over SSH each of its connections is a
    process C(ssh) to the host, as Ansible reaches it, which joins it to the server's socket or port there. None
    outlives its connection, and the host needs Python alone.
  - SSH asks for nothing, so the key must be one that needs no passphrase here or is held by an agent; a host where
    tasks become another user must allow C(sudo) without a password.
  - The password goes to the program in a file that nobody else can read and that the program removes at once.
options:
  program:
    description: What to open.
    type: str
    choices: [psql, studio]
    required: true
  label:
    description: What the database is called, such as C(shop-prod).
    type: str
    required: true
  access:
    description:
      - What the role may do, in words. With C(read-only) every transaction is read-only too, whatever the role may do.
    type: str
    required: true
  login:
    description: Where the database is as seen from the host, and as whom to connect, as C(login_*) of other modules.
    type: dict
    required: true
  options:
    description: What the program itself is told.
    type: dict
    suboptions:
      sql:
        description: A statement that C(psql) runs, in place of a session on the terminal.
        type: str
      csv:
        description: Whether C(psql) prints the result of that as comma-separated values.
        type: bool
      bindir:
        description: Directory on the controller with the server's own C(psql).
        type: path
      port:
        description: Port of 127.0.0.1 for the studio; a free one when it is 0.
        type: int
      minutes:
        description: How long the studio runs.
        type: int
attributes:
  check_mode:
    support: full
    description: Says what it would open.
  diff_mode:
    support: none
  idempotent:
    support: N/A
    description: What is done in the session is the operator's.
extends_documentation_fragment: [slipway.deploy.attributes]
seealso:
  - module: slipway.deploy.foreground
"""

EXAMPLES = r"""
- name: Open a session that only reads
  slipway.deploy.session:
    program: psql
    label: shop-prod
    access: read-only
    login:
      login_unix_socket: /var/lib/slipway/shop/prod/run
      login_db: shop
      login_user: shop_readonly
      login_password: "{{ vault_database_readonly_password }}"
"""

RETURN = r"""
command:
  description: The program's command line.
  returned: outside check mode
  type: str
"""
