# SPDX-License-Identifier: GPL-3.0-or-later
"""Which commit is deployed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.revision import revision


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_and_whether_its_files_were_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert revision(str(tmp_path)) == ""
    assert revision(str(tmp_path / "missing")) == ""
    git(tmp_path, "init", "--quiet")
    assert revision(str(tmp_path)) == ""
    inside = tmp_path / "app"
    inside.mkdir()
    (inside / "main.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "feat: one")
    git(tmp_path, "tag", "v1")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert revision(str(inside)) == commit
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert revision(str(inside)) == commit
    (inside / "main.py").write_text("2\n")
    assert revision(str(inside)) == f"{commit}-dirty"


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(str(tmp_path)) == ""
