# SPDX-License-Identifier: GPL-3.0-or-later
"""An image leaves a real engine and comes back to it, where it lacks the image's own layer alone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.image import look
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.interleave import RECEIVE
from ansible_collections.slipway.deploy.plugins.plugin_utils._release.image_stream import LOAD, stream
from support.release import docker

pytestmark = [pytest.mark.once, pytest.mark.container]

BASE, IMAGE = "slipway-test-stream-base:1", "slipway-test-stream:1"
SOURCE = [sys.executable, "-Ic", RECEIVE]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "below").write_bytes(os.urandom(2**20))  # more than a pipe holds
    packed = subprocess.run(["tar", "-C", str(tmp_path), "-c", "below"], capture_output=True, check=True).stdout
    subprocess.run(["docker", "import", "-", BASE], input=packed, capture_output=True, check=True)
    (tmp_path / "own").write_text("own")
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nCOPY own /own\n")
    docker("build", "--quiet", "--tag", IMAGE, str(tmp_path))
    yield IMAGE
    subprocess.run(["docker", "rmi", "--force", IMAGE, BASE], capture_output=True, check=False)


def target(file: Path, *gone: str) -> list[str]:
    """As another engine: what comes is kept in a file, and loaded when these images have gone from this one."""
    return ["sh", "-euc", f"cat >{file}; docker rmi {' '.join(gone)} >&2; {shlex.join(LOAD)} <{file}"]


def test_what_is_there_is_not_sent(image: str, tmp_path: Path) -> None:
    before, whole, reduced = look(image), tmp_path / "whole", tmp_path / "reduced"
    assert len(before.layers) == 2
    stream(SOURCE, target(reduced, image), image, 1, 60)
    assert look(image) == before
    stream(SOURCE, target(whole, image, BASE), image, 0, 60)
    assert look(image) == before
    assert reduced.stat().st_size < 5000 < whole.stat().st_size


def test_a_layer_that_was_wrongly_left_out_is_told(image: str, tmp_path: Path) -> None:
    with pytest.raises(SlipwayError):
        stream(SOURCE, target(tmp_path / "file", image, BASE), image, 1, 60)
    assert not look(image).id


def test_an_image_that_is_not_there() -> None:
    with pytest.raises(SlipwayError, match=r"reference does not exist|No such image"):
        stream(SOURCE, LOAD, "slipway-test-none:1", 0, 60)


@pytest.mark.parametrize("reads", ["cat >/dev/null", "head -c 100000 >/dev/null"])
def test_an_engine_that_does_not_load_it_says_why(image: str, reads: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        stream(SOURCE, ["sh", "-c", f"{reads}; echo no space left; exit 3"], image, 0, 60)
    assert str(caught.value) == "no space left"


def test_it_does_not_wait_for_ever(image: str) -> None:
    with pytest.raises(SlipwayError, match="within 1 s"):
        stream(SOURCE, ["sleep", "60"], image, 0, 1)
