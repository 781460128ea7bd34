# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: notify
short_description: Tell those whom it concerns, by apprise
version_added: 0.1.0
author: The Slipway contributors
description:
  - Sends a message to addresses of apprise, which are those of chats, of mail, or of a program of your own that takes
    JSON by HTTP.
  - A receiver that can't be told is named in a warning, and the task goes on. In check mode nobody is told.
  - It runs on the controller.
options:
  receivers:
    description: The addresses, such as V(slack://TOKEN/#CHANNEL), V(mailto://...) or V(jsons://HOST/PATH).
    type: list
    elements: str
    required: true
  title:
    description: The message in one line.
    type: str
    required: true
  body:
    description: The message in full.
    type: str
    required: true
  kind:
    description: What it is about.
    type: str
    choices: [success, failure]
    default: failure
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each run tells.
extends_documentation_fragment: [slipway.deploy.attributes]
requirements:
  - apprise beside Ansible
seealso:
  - name: Apprise
    description: The addresses.
    link: https://appriseit.com/services/
"""

EXAMPLES = r"""
- name: Tell that there is no backup
  slipway.deploy.notify:
    receivers: ["jsons://{{ vault_token }}@hooks.example.com/slipway"]
    title: "shop-prod: there is no backup to rely on"
    body: The newest proved backup is 30 h old.
"""

RETURN = r"""
told:
  description: How many were told.
  returned: success
  type: int
unheard:
  description: Why others were not, one sentence each.
  returned: success
  type: list
  elements: str
"""
