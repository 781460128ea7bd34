# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: foreground
short_description: Run a command in the terminal when the playbook has ended
version_added: 0.1.0
author: The Slipway contributors
description:
  - Names a command of the controller. When the playbook has ended without a failure, the process of C(ansible-playbook)
    becomes this command. So it has the terminal, which a task has not, gets its signals, and its exit status is that of
    the run.
  - This needs P(slipway.deploy.story#callback) as the C(stdout_callback).
  - It runs on the controller. The last one of a run counts.
options:
  argv:
    description: The program and its arguments. Other users can read them, so no secret belongs there.
    type: list
    elements: str
    required: true
  environment:
    description: Variables of its environment beside those of C(ansible-playbook).
    type: dict
  directory:
    description: Where it runs; by default where C(ansible-playbook) was run.
    type: path
  message:
    description: What is said before.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: N/A
    description: What the command does is its own.
extends_documentation_fragment: [slipway.deploy.attributes]
"""

EXAMPLES = r"""
- name: Open a session on the database
  slipway.deploy.foreground:
    argv: [psql, --host, /run/postgresql, shop]
    environment: {PGUSER: shop_readonly}
"""

RETURN = r"""
command:
  description: The command as it would be typed.
  returned: outside check mode
  type: str
"""
