#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action ``new_secrets``, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: new_secrets
author: The Slipway contributors
short_description: Put new secrets in the place of generated ones, on the controller
description:
  - Generates the secrets of O(names) anew in the file of P(slipway.deploy.generated_secret#lookup), and sets O(values)
    there, all at one stroke. What reads the file afterwards has the new ones.
  - The one of before stays there as C(NAME_former), for an application that accepts what was signed with it.
options:
  file:
    description: JSON file that holds the secrets.
    type: path
    required: true
  names:
    description: Names of the secrets in the file.
    type: list
    elements: str
    required: true
  without_former:
    description: Those of O(names) whose former value is of no use to anybody and is not kept.
    type: list
    elements: str
    default: []
  values:
    description: Other entries of the file, and what they are from now on.
    type: dict
    default: {}
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Secrets are not shown.
  idempotent:
    support: none
    details: Each call makes new ones.
"""

EXAMPLES = r"""
- name: Make a new key, which the next deploy gives to the application
  slipway.deploy.new_secrets:
    file: .slipway/test/secrets.json
    names: [app_secret_key]
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""
