# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of registries that ask who pulls: the engine's client is told for one pull, and keeps nothing of it."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker

HUB = "docker.io"
# By which name the client knows the registry of images that name none (docker login, "Authentication").
_KNOWN_AS = {HUB: "https://index.docker.io/v1/"}


@dataclass(frozen=True)
class Login:
    """Who pulls from a registry."""

    username: str
    password: str


def registry_of(image: str) -> str:
    """The registry that an image's name leads to, with its port: the first part where that looks like a host's name."""
    first, slash, _rest = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else HUB


def missing(images: list[str]) -> list[str]:
    """Those that the host's engine does not have, each once."""
    return [image for image in dict.fromkeys(images) if docker.found("image", image, "{{.Id}}") is None]


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
        how = "with the login" if login else "without a login"
        raise SlipwayError(
            f"Image {image} can't be pulled from {registry} {how} of app_registries: {' '.join(said.split())}; see "
            "that it is there, and that app_registries names who may pull it."
        )
