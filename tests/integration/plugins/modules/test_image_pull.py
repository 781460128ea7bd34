# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of a real registry that lets in whom it knows: Debian's docker-registry."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.debian import extracted
from support.environment import free_port
from support.modules import run_module
from support.offsite import listening
from support.release import docker

pytestmark = [pytest.mark.once, pytest.mark.container]

WORD = "a-password-of-the-test"
KNOWN = "bot:$2b$04$eKeTQofir.W5yy6m4nZTyuhS48fQF4WeunXh7ujrDD.J1Gnsg4toO"  # that word, by bcrypt
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {home}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {home}/known}}}}
"""


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    """An image that is at the registry, and not with the engine."""
    program = shutil.which("docker-registry")
    if program is None:
        extracted(tmp_path, "docker-registry")
        program = str(tmp_path / "usr" / "bin" / "docker-registry")
    port = free_port()
    (tmp_path / "known").write_text(KNOWN)
    (tmp_path / "config.yml").write_text(CONFIG.format(home=tmp_path, port=port))
    registry = f"127.0.0.1:{port}"
    name = f"{registry}/shop/backend:1"
    signed = tmp_path / "signed"
    signed.mkdir()
    token = base64.b64encode(f"bot:{WORD}".encode()).decode()
    (signed / "config.json").write_text(json.dumps({"auths": {registry: {"auth": token}}}))
    with listening([program, "serve", str(tmp_path / "config.yml")], port):
        empty = subprocess.run(["tar", "--create", "--files-from=/dev/null"], capture_output=True, check=True).stdout
        subprocess.run(["docker", "import", "-", name], input=empty, capture_output=True, check=True)
        docker("--config", str(signed), "push", "--quiet", name)
        docker("rmi", name)
        yield name
        subprocess.run(["docker", "rmi", name], capture_output=True, check=False)


def there(image: str) -> bool:
    return bool(docker("images", "--quiet", image))


def test_a_registry_that_asks_who_pulls(image: str) -> None:
    registry = image.partition("/")[0]
    alone = run_module("image_pull", {"images": [image]})
    assert f"Image {image} can't be pulled from {registry} without a login of app_registries: " in alone["msg"]
    wrong = {registry: {"username": "bot", "password": "another-password"}}
    refused = run_module("image_pull", {"images": [image], "registries": wrong})
    assert f"can't be pulled from {registry} with the login bot of app_registries: " in refused["msg"]
    assert "another-password" not in json.dumps(refused)
    assert not there(image)

    options = {"images": [image, image], "registries": {registry: {"username": "bot", "password": WORD}}}
    for check, said, changed in (
        (True, "Would pull", True),
        (False, "Pulled", True),
        (True, "", False),
        (False, "", False),
    ):
        found = run_module("image_pull", options, check=check)
        assert (found["changed"], found["actions"]) == (changed, [f"{said} {image}."] if changed else [])
        assert there(image) is (not check or not changed)
        there_now = {image: docker("image", "inspect", "--format={{.Id}}", image)} if there(image) else {}
        assert found["images"] == there_now
    kept = Path("~/.docker/config.json").expanduser()
    assert not kept.exists() or registry not in kept.read_text()
    assert list(Path(tempfile.gettempdir()).glob("slipway-registry-*")) == []


def test_an_image_that_is_not_there(image: str) -> None:
    other = image.replace("backend:1", "frontend:2")
    registries = {image.partition("/")[0]: {"username": "bot", "password": WORD}}
    failed = run_module("image_pull", {"images": [other], "registries": registries})
    assert f"Image {other} can't be pulled from" in failed["msg"]
    assert "unknown" in failed["msg"]
