# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup ``tree_digest``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.plugin_utils._release import tree as trees

DOCUMENTATION = r"""
name: tree_digest
short_description: Digest of a directory's content, as the modules image and tree compute it
version_added: 0.1.0
author: The Slipway contributors
description:
  - Gives the first 12 hexadecimal digits of the digest by which M(slipway.deploy.image) tags an image and
    M(slipway.deploy.tree) names a directory, before anything is built or sent.
  - It covers paths, contents, links and the executable bit of what C(.dockerignore) leaves in and what looks like no
    secret; not times or owners.
  - To get the tag of an image, give O(dockerfile), and the same O(build_args) and O(extra_files) as to the module.
options:
  _terms:
    description: Directories on the controller.
    required: true
    type: list
    elements: path
  dockerfile:
    description: The Dockerfile's path in the directory. Without it the digest is that of M(slipway.deploy.tree).
    type: str
  build_args:
    description: The module's option of the same name.
    type: dict
    default: {}
  extra_files:
    description: The module's option of the same name.
    type: dict
    default: {}
  include:
    description: The module's option of the same name.
    type: list
    elements: str
    default: []
  private:
    description: The module's option of the same name.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Name the release after its content
  ansible.builtin.set_fact:
    release: "{{ lookup('slipway.deploy.tree_digest', 'app', dockerfile='backend/Dockerfile') }}"
"""

RETURN = r"""
_raw:
  description: One digest for each directory.
  type: list
  elements: str
  sample: ["3f1d0c9a4b7e"]
"""


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        inputs = {name: self.get_option(name) for name in ("dockerfile", "build_args") if self.get_option(name)}
        extra = {path: self._path(name) for path, name in self.get_option("extra_files").items()}
        dockerfile = self.get_option("dockerfile")
        try:
            return [self._digest(self._path(term), dockerfile, extra, inputs) for term in terms]
        except (SlipwayError, OSError) as error:
            raise AnsibleError(sentence(error)) from error

    def _digest(self, root: Path, dockerfile: str | None, extra: dict[str, Path], inputs: dict[str, Any]) -> str:
        files = {dockerfile: root / dockerfile, **extra} if dockerfile else extra
        private = [self._path(name) for name in self.get_option("private")]
        tree = trees.read(root, files, self.get_option("include"), private)
        if tree.warning:
            self._display.warning(tree.warning)
        return trees.digest(tree.entries, **inputs)[: trees.TAG_LENGTH]

    def _path(self, name: str) -> Path:
        return Path(self._loader.path_dwim(name))
