# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options of modules that give nginx, in its container, a certificate."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  container:
    description: The container of nginx, which may not be there yet.
    type: str
    default: ""
  image:
    description: Its image.
    type: str
    default: ""
  user:
    description: The user, by name or number, as whom nginx runs in it.
    type: str
    default: ""
"""
