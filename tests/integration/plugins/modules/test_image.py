# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``image`` with its action plugin, on a real Docker engine. Its base image is made here, from one file."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.release import Module

pytestmark = pytest.mark.container

NAME = "slipway-test-image"
BASE = "slipway-test-image-base:1"


def docker(*arguments: str, given: bytes = b"") -> str:
    done = subprocess.run(["docker", *arguments], input=given, capture_output=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.decode().strip()


@pytest.fixture(scope="module", autouse=True)
def base() -> Iterator[None]:
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("nothing"))
    docker("import", "-", BASE, given=empty.getvalue())
    yield
    for name in (NAME, BASE):
        for image in sorted(set(docker("image", "ls", "--quiet", name).split())):
            docker("image", "rm", "--force", image)


@pytest.fixture
def image(tmp_path: Path) -> Module:
    context = tmp_path / "app"
    (context / "sub").mkdir(parents=True)
    (context / "sub" / "Dockerfile").write_text(f"ARG BASE\nFROM $BASE\nCOPY . /app/\nLABEL test={tmp_path.name}\n")
    (context / "main.py").write_text("one")
    (context / ".dockerignore").write_text("sub\n*.pem\n")
    (tmp_path / "company.pem").write_text("certificate")
    return Module("image", tmp_path)


def call(image: Module, *flags: str, **more: object) -> dict[str, Any]:
    options = {
        "src": str(image.home / "app"),
        "name": NAME,
        "dockerfile": "sub/Dockerfile",
        "build_args": {"BASE": BASE},
        "extra_files": {"ca.pem": str(image.home / "company.pem")},
        **more,
    }
    return image(*flags, **options)


def files(ref: str) -> set[str]:
    """What the image holds below /app."""
    container = docker("create", ref, "none")
    try:
        done = subprocess.run(["docker", "export", container], capture_output=True, timeout=60, check=True)
    finally:
        docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {name.removeprefix("app/") for name in archive.getnames() if name.startswith("app/") and name != "app/"}


def test_check_apply_check_apply(image: Module) -> None:
    checked = call(image, "--check")
    assert checked["changed"]
    assert checked["actions"] == [f"Built {checked['image']['ref']}."]
    assert docker("image", "ls", "--quiet", NAME) == ""
    built = call(image)
    assert built["changed"]
    ref, digest = built["image"]["ref"], built["image"]["digest"]
    assert ref == checked["image"]["ref"] == f"{NAME}:{digest[:12]}"
    assert docker("image", "inspect", "--format", "{{.Id}}", ref) == built["image"]["id"]
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", ref))
    assert (labels["slipway.digest"], labels["slipway.image"]) == (digest, NAME)
    assert {"main.py", "ca.pem"} <= files(ref)
    assert not call(image, "--check")["changed"]
    again = call(image)
    assert (again["changed"], again["image"]) == (False, built["image"])


def test_a_change_gives_another_image_and_the_oldest_goes(image: Module) -> None:
    refs = []
    for content in ("a", "b", "c"):
        (image.home / "app" / "main.py").write_text(content)
        result = call(image, keep=1)
        refs.append(result["image"]["ref"])
    assert len(set(refs)) == 3
    assert f"Removed {refs[0]}." in result["actions"]
    assert len(docker("image", "ls", "--quiet", NAME).split()) == 2


def test_a_failed_build_shows_the_end_of_its_log(image: Module) -> None:
    before = docker("image", "ls", "--quiet", NAME)
    (image.home / "app" / "sub" / "Dockerfile").write_text(f"FROM {BASE}\nCOPY missing.txt /\n")
    result = call(image)
    assert "sub/Dockerfile failed as the end of the log below shows; correct it and run again." in result["msg"]
    assert "missing.txt" in result["log"]
    assert docker("image", "ls", "--quiet", NAME) == before


def test_secrets_are_in_no_image(image: Module) -> None:
    root = image.home / "app"
    secrets = [".slipway/test/secrets.json", ".env.production", "vault.yml", "state/password", ".git/config"]
    for name in secrets:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a secret\n")
    (root / "hidden.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6133\n")
    (root / ".dockerignore").write_text("!**\n")
    built = call(image, private=[str(root / "state")])
    assert {"main.py", "ca.pem"} <= files(built["image"]["ref"])
    assert not {*secrets, "hidden.yml"} & files(built["image"]["ref"])
    (root / ".slipway/test/secrets.json").write_text("another\n")
    assert not call(image, private=[str(root / "state")])["changed"]
    included = call(image, private=[str(root / "state")], include=[".env.production"])
    assert {*secrets, "hidden.yml"} & files(included["image"]["ref"]) == {".env.production"}


def test_a_missing_dockerfile(image: Module) -> None:
    root = image.home / "app"
    assert call(image, dockerfile="none")["msg"] == (
        f"{root / 'none'}, wanted as none in {root}, is not a file on the controller: correct its path."
    )
