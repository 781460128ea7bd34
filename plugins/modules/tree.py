#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``tree``; the controller's side is the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tree
short_description: Put a directory of the controller on the host, under the digest of its content
version_added: 0.1.0
author: The Slipway contributors
description:
  - The files land in a directory of O(dest) that is named by the first 12 digits of their digest. They are sent as one
    archive, and only where that directory is missing. It appears complete or not at all.
  - What is there is never changed, so a server can be switched from one directory to another and back.
  - The digest is that of P(slipway.deploy.tree_digest#lookup).
options:
  src:
    description:
      - Directory on the controller. A C(.dockerignore) in it is honoured. What looks like a secret is left out as by
        M(slipway.deploy.image).
    type: path
    required: true
  dest:
    description: Directory on the host that holds one directory for each content. It is made with mode 0755.
    type: path
    required: true
  extra_files:
    description: Files of the controller to put in as well, by their path in the tree.
    type: dict
    default: {}
  include:
    description:
      - Patterns, as in C(.dockerignore), of files to make part of the release although they look like secrets.
    type: list
    elements: str
    default: []
  private:
    description: Files and directories of the controller that are never part of the release, such as a state directory.
    type: list
    elements: path
    default: []
  keep:
    description: How many older directories stay, beside those that are in use. Those used last stay longest.
    type: int
    default: 3
  used_by:
    description:
      - Files of the host, or directories of files, such as configurations of a web server. A directory that one of them
        names is in use, and stays.
    type: list
    elements: path
    default: []
    version_added: 0.1.0
  digest:
    description: Set by the action plugin.
    type: str
  archive:
    description: Set by the action plugin.
    type: path
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Bring the page
  slipway.deploy.tree:
    src: app/frontend
    dest: /var/lib/slipway/shop/prod/frontend/static
  register: page
"""

RETURN = r"""
tree:
  description: The directory that is there now, or in check mode would be.
  returned: success
  type: dict
  contains:
    path:
      description: Where it is on the host.
      type: str
      sample: /var/lib/slipway/shop/prod/frontend/static/3f1d0c9a4b7e
    name:
      description: Its name in RV(dest), the first 12 digits of the digest.
      type: str
    digest:
      description: SHA-256 of the content.
      type: str
actions:
  description: What was done, in sentences.
  returned: success
  type: list
  elements: str
"""

import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.image import TAG_LENGTH
from ansible_collections.slipway.deploy.plugins.module_utils._release.prune import to_prune


def ensure(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    if not params["digest"]:
        raise SlipwayError("slipway.deploy.tree was called as a bare module: call it as a task, by its full name.")
    name = params["digest"][:TAG_LENGTH]
    path = os.path.join(params["dest"], name)
    tree = {"path": path, "name": name, "digest": params["digest"]}
    if os.path.isdir(path):
        others = by_last_use(params["dest"])
        if others[0] != name and not module.check_mode:
            os.utime(path)  # used again, after a rollback: the next one to go is another
        return {"changed": False, "tree": tree, "actions": []}
    actions = [f"Put {params['src']} into {path}."]
    if not params["archive"]:
        return {"changed": True, "missing": True, "tree": tree, "actions": actions}

    try:
        unpack(params["archive"], path)
        used = texts(params["used_by"])
        spare = [other for other in by_last_use(params["dest"]) if other not in used]
        for old in to_prune(spare, name, params["keep"]):
            shutil.rmtree(os.path.join(params["dest"], old))
            actions.append(f"Removed {os.path.join(params['dest'], old)}.")
    except OSError as error:
        raise SlipwayError(
            f"{path} can't be written: {plain(error)}; give this user the right to write there."
        ) from error
    return {"changed": True, "tree": tree, "actions": actions}


def by_last_use(dest: str) -> list[str]:
    """Names of the complete directories, the one used last first."""
    with os.scandir(dest) as found:
        whole = [entry for entry in found if entry.is_dir() and not entry.name.startswith(".")]
    return [entry.name for entry in sorted(whole, key=lambda entry: entry.stat().st_mtime, reverse=True)]


def texts(paths: list[str]) -> str:
    """What is in these files, and in the files of these directories."""
    files = [Path(path) for path in paths]
    files += [file for path in files if path.is_dir() for file in path.iterdir()]
    return "\n".join(read(str(file)) for file in files if file.is_file())


def unpack(archive: str, path: str) -> None:
    """Unpack beside ``path`` and rename. Files get the present as their time: a web server's ETag is made from it."""
    dest = os.path.dirname(path)
    if not os.path.isdir(dest):
        os.makedirs(dest)
        os.chmod(dest, 0o755)  # whatever the umask
    partial = os.path.join(dest, f".{os.path.basename(path)}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    os.mkdir(partial)
    with tarfile.open(archive, mode="r:gz") as packed:
        for member in packed:
            packed.extract(member, partial, set_attrs=False)
            target = os.path.join(partial, member.name)
            if member.isfile():
                os.chmod(target, member.mode)
    for directory, _names, _files in os.walk(partial):
        os.chmod(directory, 0o755)
    os.rename(partial, path)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "extra_files": {"type": "dict", "default": {}},
            "include": {"type": "list", "elements": "str", "default": []},
            "private": {"type": "list", "elements": "path", "default": []},
            "keep": {"type": "int", "default": 3},
            "used_by": {"type": "list", "elements": "path", "default": []},
            "digest": {"type": "str"},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run(module, ensure)


if __name__ == "__main__":
    main()
