# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of releases as files: who may read them, and which of them stay; four runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.modules import run_module
from support.release import images

pytestmark = pytest.mark.container

NAME = "slipway-test-secret-files"
SECRETS = {"DATABASE_URL": "postgresql://shop:hunter2-hidden@db/shop", "KEY": "of several\nlines"}


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.fixture
def image() -> Iterator[str]:
    """One whose user is told by name."""
    docker("create", "--name", NAME, images()["SLIPWAY_PYTHON_IMAGE"])
    docker("commit", "--change", "USER nobody:nogroup", NAME, NAME)
    docker("rm", NAME)
    yield NAME
    docker("rm", "--force", NAME)
    docker("image", "rm", NAME)


def test_four_runs(tmp_path: Path, image: str) -> None:
    first, second = (tmp_path / "secrets" / name for name in ("first", "second"))

    def keep(directory: Path, files: dict[str, str] = SECRETS, *, check: bool = False) -> list[str]:
        arguments = {"directory": str(directory), "files": files, "image": image}
        found: dict[str, Any] = run_module("secret_files", arguments, check=check)
        assert "hunter2" not in json.dumps(found)
        assert found["changed"] == bool(found["actions"])
        return list(found["actions"])

    wrote = [f"Wrote the application's secrets into {first}."]
    assert keep(first, check=True) == wrote
    assert not first.parent.exists()
    assert keep(first) == wrote
    assert keep(first, check=True) == keep(first) == []

    assert (first.stat().st_mode & 0o777, (first / "KEY").stat().st_mode & 0o777) == (0o700, 0o600)
    run = ("--name", NAME, "--cap-drop=ALL", f"--volume={first}:/run/secrets:ro", image)
    assert docker("run", *run, "sh", "-c", "cat /run/secrets/*; id -un").endswith("of several\nlinesnobody\n")

    # That of a container which is kept stays; what none mounts goes.
    assert keep(second) == [f"Wrote the application's secrets into {second}."]
    docker("rm", NAME)
    gone = [f"Removed {first}, the secrets of a release that is gone."]
    assert keep(second, check=True) == gone
    assert first.exists()
    assert keep(second) == gone
    assert not first.exists()
    (second / "KEY").chmod(0o644)
    (second / "OLD").touch()
    assert keep(second) == [f"Wrote the application's secrets into {second}."]
    assert sorted(path.name for path in second.iterdir()) == ["DATABASE_URL", "KEY"]
    assert (second / "KEY").stat().st_mode & 0o777 == 0o600
    assert keep(first.parent / "none", {}) == [f"Removed {second}, the secrets of a release that is gone."]
