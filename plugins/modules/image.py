#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``image``; the controller's side is the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Build an image on the host from a directory of the controller
version_added: 0.1.0
author: The Slipway contributors
description:
  - The image is tagged with the first 12 digits of a digest of its context, Dockerfile and build arguments.
    Where that tag exists nothing is sent and nothing is built.
  - The digest covers paths, contents, links and the executable bit; not times or owners. C(.dockerignore) is honoured,
    and what never belongs to a release (C(__pycache__), C(*.pyc), caches of tools) is left out.
  - Whatever C(.dockerignore) says, C(.git), C(.venv), C(.slipway) and what looks like a secret stay out of it, unless
    O(include) names it. That is C(.env*), a vault (by its name or header) and a private key (by its name or content).
  - A base image that moved under the same tag is not noticed. Pin it by digest, or change a build argument.
  - C(docker build) reads the context from its standard input, so any engine from 20.10 on will do, with and without
    buildx.
options:
  src:
    description: Directory on the controller that is the build context.
    type: path
    required: true
  name:
    description: Name of the image, without a tag.
    type: str
    required: true
  dockerfile:
    description: Path of the Dockerfile in the context.
    type: str
    default: Dockerfile
  build_args:
    description:
      - Build arguments. They stay readable in the image's history, so put no secret here.
    type: dict
    default: {}
  extra_files:
    description: Files of the controller to put into the context, by their path in it.
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
  labels:
    description: Labels for the image. They do not count for the digest.
    type: dict
    default: {}
  pull:
    description: When a build is needed, whether to fetch a newer base image first.
    type: bool
    default: false
  keep:
    description: How many older images of this name stay after a build. One that a container uses always stays.
    type: int
    default: 3
  timeout:
    description: Seconds that a build may take.
    type: int
    default: 1800
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
requirements:
  - the command C(docker) on the host
"""

EXAMPLES = r"""
- name: Build the backend
  slipway.deploy.image:
    src: app
    name: shop-backend
    dockerfile: backend/Dockerfile
    build_args:
      BASE_IMAGE: python:3.13-slim
    extra_files:
      backend/ca-bundle.crt: /etc/ssl/certs/company.pem
  register: built
"""

RETURN = r"""
image:
  description: The image that is there now, or in check mode would be.
  returned: success
  type: dict
  contains:
    ref:
      description: Name and tag.
      type: str
      sample: shop-backend:3f1d0c9a4b7e
    id:
      description: The engine's id of the image; empty when it is not built yet.
      type: str
    architecture:
      description: For which CPUs it is, such as V(amd64); empty when it is not built yet.
      type: str
    layers:
      description: The digests of its layers, from the bottom.
      type: list
      elements: str
    digest:
      description: SHA-256 of what the image is built from.
      type: str
actions:
  description: What was done, in sentences.
  returned: success
  type: list
  elements: str
seconds:
  description: How long the build took.
  returned: when an image was built
  type: float
log:
  description: The end of the build's output.
  returned: when the build failed
  type: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked, of_environment
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release import image as images


def ensure(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    if not params["digest"]:
        raise SlipwayError("slipway.deploy.image was called as a bare module: call it as a task, by its full name.")
    build = images.Build(
        name=params["name"],
        digest=params["digest"],
        dockerfile=params["dockerfile"],
        build_args={name: str(value) for name, value in params["build_args"].items()},
        labels={name: str(value) for name, value in params["labels"].items()},
        pull=params["pull"],
    )
    secrets = of_environment(build.build_args, guess=False)
    module.no_log_values |= secrets
    image = {"ref": build.ref, "digest": build.digest, **images.look(build.ref).as_dict()}
    if image["id"]:
        return {"changed": False, "image": image, "actions": []}
    if not params["archive"]:
        return {"changed": True, "missing": True, "image": image, "actions": [f"Built {build.ref}."]}

    started = time.monotonic()
    with open(params["archive"], "rb") as context:
        status, log = docker.run(
            *build.command(), stdin=context, environment=build.build_args, timeout=params["timeout"]
        )
    if status:
        end = masked(images.tail(log), secrets)
        raise SlipwayError(
            f"{build.ref} could not be built from {params['src']}: {build.dockerfile} failed as the end of the log "
            f"below shows; correct it and run again.\n{end}",
            log=end,
        )
    return {
        "changed": True,
        "image": {**image, **images.look(build.ref).as_dict()},
        "actions": [f"Built {build.ref}.", *images.prune(build.name, build.ref, params["keep"])],
        "seconds": round(time.monotonic() - started, 2),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "dockerfile": {"type": "str", "default": "Dockerfile"},
            "build_args": {"type": "dict", "default": {}},
            "extra_files": {"type": "dict", "default": {}},
            "include": {"type": "list", "elements": "str", "default": []},
            "private": {"type": "list", "elements": "path", "default": []},
            "labels": {"type": "dict", "default": {}},
            "pull": {"type": "bool", "default": False},
            "keep": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 1800},
            "digest": {"type": "str"},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run(module, ensure)


if __name__ == "__main__":
    main()
