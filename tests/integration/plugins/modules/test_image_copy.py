# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``image_copy`` on one engine; from one host to another it is seen in the scenario hosts-three."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.release import Module, docker

pytestmark = [pytest.mark.once, pytest.mark.container]

IMAGE = "slipway-test-copy:1"


@pytest.fixture
def engine() -> Iterator[None]:
    """One that has the image."""
    empty = subprocess.run(["tar", "--create", "--files-from=/dev/null"], capture_output=True, check=True).stdout
    subprocess.run(["docker", "import", "-", IMAGE], input=empty, capture_output=True, check=True)
    yield
    subprocess.run(["docker", "rmi", IMAGE], capture_output=True, check=False)


def call(home: Path, *flags: str, **image: object) -> dict[str, Any]:
    return Module("image_copy", home)(*flags, image={"ref": IMAGE, **image}, host="localhost")


def test_an_image_that_is_there_is_not_asked_for(engine: None, tmp_path: Path) -> None:
    found = call(tmp_path)
    assert (found["changed"], found["actions"]) == (False, [])
    assert found["image"] == {"ref": IMAGE, "id": docker("image", "inspect", "--format", "{{.Id}}", IMAGE)}


def test_a_check_run_copies_nothing(tmp_path: Path) -> None:
    found = call(tmp_path, "--check")
    assert (found["changed"], found["actions"]) == (True, [f"Copied {IMAGE} from host localhost."])
    assert found["image"] == {"ref": IMAGE, "id": ""}


def test_an_image_that_the_other_host_does_not_have(tmp_path: Path) -> None:
    found = call(tmp_path)
    assert found["msg"].startswith(f"{IMAGE} could not be copied from host localhost to host localhost: ")
    assert "No such image" in found["msg"] or "reference does not exist" in found["msg"]


def test_an_image_for_other_processors_is_refused(tmp_path: Path) -> None:
    found = call(tmp_path, architecture="mips64le")
    assert found["msg"].startswith(f"{IMAGE} was built on host localhost for mips64le, and this host's CPU is ")
