# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: attestation_info
short_description: Whether the records of runs are as they were signed
version_added: 0.1.0
author: The Slipway contributors
description:
  - Compares the records that M(slipway.deploy.deployment) left on the controller, and their pages, with the statements
    that were signed about them, and these with who may sign. Needs no network and asks no host.
  - Each statement names the one before it, so that a run that is gone from between two others is found.
  - It runs on the controller.
options:
  directory:
    description: The directory of the records.
    type: path
    required: true
  signers:
    description: Who may sign, a file in the format of ALLOWED SIGNERS in C(ssh-keygen(1\)).
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment: [slipway.deploy.attributes]
requirements:
  - ssh-keygen of OpenSSH 8.1 or newer beside Ansible
seealso:
  - module: slipway.deploy.deployment
  - name: in-toto
    description: The shape of the statements.
    link: https://github.com/in-toto/attestation
"""

EXAMPLES = r"""
- name: Look at the records
  slipway.deploy.attestation_info:
    directory: /shop/.slipway/prod/runs
    signers: /shop/signers
"""

RETURN = r"""
attestations:
  description: The records, in the order of their runs.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the record's file without its ending., type: str}
    signer: {description: 'Who signed it, as the signers file names them; empty for nobody in it.', type: str}
    problem: {description: 'What is wrong, such as V(is not signed); empty for nothing.', type: str}
problems:
  description: What is wrong, a sentence each.
  returned: success
  type: list
  elements: str
"""
