# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: logs
short_description: What the controller runs to show logs of several hosts in the order of their times
version_added: 0.1.0
author: The Slipway contributors
description:
  - Gives a command of the controller, for M(slipway.deploy.foreground), which reads logs of containers and files on all
    hosts of the play, and shows their lines in the order of their times, each with what it is from, and on a terminal
    in its colour. A line of a file that says no time is shown with the one before it.
  - Secrets are masked that are in O(secrets_file) or in the environment of the container or process.
  - Nothing is written on a host, and nothing is left at work there when the command has ended.
  - It runs on the controller.
options:
  sources:
    description:
      - The logs of each host, by its name, each with C(name) and with C(filter), a filter of C(docker ps), or with
        C(file), and C(state), the file in which the process is named that writes it.
      - The log of a worker has the name of its process, which for containers is the label C(by), and for C(files), a
        pattern, the first part of the file's name.
    type: dict
    required: true
  follow:
    description: Whether to go on with what is written from now on, of new containers too, until it is interrupted.
    type: bool
    default: false
  since:
    description: How far back to begin, such as V(30m) or V(1h); empty for as far as O(lines) go.
    type: str
    default: ""
  lines:
    description: How many of the last lines to show; when following, of each log.
    type: int
    default: 100
  output:
    description: V(table) for lines of text, V(json) for a list.
    type: str
    default: table
    choices: [table, json]
  secrets_file:
    description: File on the controller with secrets to mask, values of a JSON object.
    type: path
    default: ""
attributes:
  check_mode:
    support: full
    details: Reads only.
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment: [slipway.deploy.attributes]
"""

EXAMPLES = r"""
- name: Prepare to follow the logs
  slipway.deploy.logs:
    sources:
      web:
        - {name: backend, filter: label=slipway.backend=shop-test-backend}
        - {name: nginx, filter: name=^/shop-test-frontend$}
    follow: true
  register: logs

- name: Follow them
  slipway.deploy.foreground:
    argv: "{{ logs.argv }}"
"""

RETURN = r"""
argv:
  description: The command.
  type: list
  elements: str
  returned: success
"""
