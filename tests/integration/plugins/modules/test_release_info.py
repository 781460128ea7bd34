# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases are on a host: asked of a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.modules import run_module
from support.release import docker, images

pytestmark = [pytest.mark.once, pytest.mark.container]
LABEL = "slipway.backend=slipway-test-release-info"


@pytest.fixture
def containers() -> Iterator[list[str]]:
    names = [f"slipway-test-release-info-{number}" for number in (1, 2)]
    for name, release in zip(names, ("one", "two"), strict=True):
        docker(
            "run", "--detach", f"--name={name}", f"--label={LABEL}", f"--label=slipway.release={release}",
            images()["SLIPWAY_PYTHON_IMAGE"], "sleep", "300",
        )  # fmt: skip
    docker("kill", names[0])
    yield names
    docker("rm", "--force", *names)


def test_releases(containers: list[str], tmp_path: Path) -> None:
    (tmp_path / "former").mkdir()
    (tmp_path / "former" / f"{containers[0]}.conf").write_text("leads to it")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "nginx.conf").write_text(f"leads to {containers[1]}")
    asked = {"label": LABEL, "config": str(tmp_path / "config" / "nginx.conf")}
    two, one = run_module("release_info", asked)["releases"]
    assert (one["container"], one["release"], one["serves"], one["led_to"]) == (containers[0], "one", False, True)
    assert (two["container"], two["release"], two["serves"], two["led_to"]) == (containers[1], "two", True, False)
    assert one["created"] < one["ended"]
    assert run_module("release_info", {**asked, "label": f"{LABEL}-of-nobody"})["releases"] == []
