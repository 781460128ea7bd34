# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of registries that ask who pulls: the engine's client is told for one pull, and keeps nothing of it."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

HUB = "docker.io"
# By which name the client knows the registry of images that name none (docker login, "Authentication").
_KNOWN_AS = {HUB: "https://index.docker.io/v1/"}


REGISTRIES_SPEC: dict[str, dict[str, Any]] = {"registries": {"type": "dict", "default": {}, "no_log": True}}


@dataclass(frozen=True)
class Login:
    """Who pulls from a registry."""

    username: str
    password: str


def logins(module: AnsibleModule) -> dict[str, Login]:
    """Who pulls, by registry, as a module's option ``registries`` says, see ``REGISTRIES_SPEC``."""
    found = {name: Login(about["username"], about["password"]) for name, about in module.params["registries"].items()}
    # Passwords alone are masked: a user's name may be a word of what is returned.
    module.params["registries"] = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    module.no_log_values = {login.password for login in found.values()}
    return found


def registry_of(image: str) -> str:
    """The registry that an image's name leads to, with its port: the first part where that looks like a host's name."""
    first, slash, _rest = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else HUB


def ids(images: Iterable[str]) -> dict[str, str | None]:
    """The engine's ID of each image, None for one that the host does not have."""
    return {image: docker.found("image", image, "{{.Id}}") for image in images}


def pull(image: str, logins: Mapping[str, Login]) -> None:
    """Pull an image, as who ``logins`` names for its registry, else as whom the host's client is signed in there.

    Raises SlipwayError with the client's own words when that fails.
    """
    registry = registry_of(image)
    login = logins.get(registry)
    with tempfile.TemporaryDirectory(prefix="slipway-registry-") as home:  # for this user alone
        chosen = []
        if login:
            token = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
            told = {"auths": {_KNOWN_AS.get(registry, registry): {"auth": token}}}
            Path(home, "config.json").write_text(json.dumps(told), encoding="utf-8")
            chosen = ["--config", home]
        status, said = docker.run(*chosen, "pull", "--quiet", image, timeout=docker.PULLS_WITHIN)
    if status:
        how = f"with the login {login.username}" if login else "without a login"
        raise SlipwayError(
            f"Image {image} can't be pulled from {registry} {how} of app_registries: {' '.join(said.split())}; see "
            "that it is there, and that app_registries names who may pull it."
        )
