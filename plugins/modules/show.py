# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Show what was found as a table, or print it as JSON
version_added: 0.1.0
author: The Slipway contributors
description:
  - Shows a table that fits the terminal. With the variable C(output) set to V(json), a run that is told by
    P(slipway.deploy.story#callback) prints nothing else than O(data) on its standard output, for a program to read.
  - It runs on the controller.
options:
  title:
    description: What stands above the table; the first line is its heading.
    type: str
  columns:
    description:
      - The columns, each a name or a dictionary with C(name), C(align) (V(right) for numbers), C(styles), which gives
        the style of a cell by its text, and C(key), which finds it in a row that is a dictionary (by default C(name)).
    type: list
    elements: raw
  rows:
    description: The rows, each a list with a value for each column, or a dictionary.
    type: list
    elements: raw
  lines:
    description: Lines of text below the table.
    type: list
    elements: str
  data:
    description: What is printed as JSON. By default a list of dictionaries that is made from O(columns) and O(rows).
    type: raw
  text:
    description: What is printed for other values of the variable C(output), such as V(prometheus), by that value.
    type: dict
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment: [slipway.deploy.attributes]
"""

EXAMPLES = r"""
- name: Show the backups
  slipway.deploy.show:
    title: "shop-prod: 2 backups"
    columns: [backup, {name: rows, align: right}]
    rows: [[shop-20261124T100000Z, 1200], [shop-20261125T100000Z, 1320]]
"""

RETURN = r"""
output:
  description: What was printed.
  returned: unless it is shown as a table
  type: str
"""
