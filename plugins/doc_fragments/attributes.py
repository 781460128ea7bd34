# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attributes of a module mean; each module says for itself how far it supports them."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and say what it would do, without doing it.
  diff_mode:
    description: Shows in diff mode what changes, or would change in check mode.
  idempotent:
    description: Run again with the same options, with nothing else changed in between, it changes nothing.
"""

    # Of a module that only reads: slipway.deploy.attributes.info_module.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: Only reads.
  diff_mode:
    support: none
    details: Changes nothing.
  idempotent:
    support: full
    details: Only reads.
"""
