#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``dump_file``: all of it is the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dump_file
author: The Slipway contributors
short_description: See what a dump on the controller is, before it is sent anywhere
description:
  - Tells the format of a dump of C(pg_dump) by its content, plain SQL, custom or tar, also compressed by gzip.
  - Reads a plain dump to its end, and fails where it was cut off, is of a whole cluster, or has a command for C(psql)
    that C(pg_dump) does not write for one database. Of an archive it reads the head.
  - Runs on the controller and changes nothing.
options:
  path:
    description: The file on the controller; a relative path begins where C(ansible-playbook) was started.
    type: path
    required: true
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
seealso:
  - module: slipway.deploy.restore_dump
"""

EXAMPLES = r"""
- name: See what the dump is
  slipway.deploy.dump_file:
    path: backup.sql
  register: dump
"""

RETURN = r"""
dump:
  description: What the file is.
  type: dict
  returned: success
  contains:
    path: {description: Its absolute path on the controller., type: str}
    name: {description: Its name., type: str}
    kind: {description: "One of C(sql), C(custom) and C(tar).", type: str}
    shown: {description: The same in words., type: str}
    size: {description: Bytes of the file., type: int}
    expanded: {description: "Bytes of its SQL, of an archive those of the file.", type: int}
    version: {description: Version of the server that it was taken from; empty when it does not say., type: str}
    tables: {description: Tables that a plain dump creates., type: list, elements: str}
    rows: {description: Rows that a plain dump holds; null of an archive., type: int}
"""
