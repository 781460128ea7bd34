# SPDX-License-Identifier: GPL-3.0-or-later
"""Where no service can be made it is said so; what systemd does is seen in the test of the role."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import systemd


def test_host_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "RUNNING", tmp_path / "system")
    with pytest.raises(SlipwayError, match=r"^monitoring is set, but this host does not run systemd, whose"):
        systemd.insist("monitoring")
    (tmp_path / "system").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    systemd.insist("monitoring")


def test_user_who_is_not_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "RUNNING", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(SlipwayError, match=r"user uid 4711 may not make a service of systemd .* become root"):
        systemd.insist("monitoring")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no such unit >&2; exit 5", "systemctl restart a.service failed: no such unit; see journalctl -xe."),
        ("exit 5", "systemctl restart a.service failed: exit status 5; see journalctl -xe."),
        (None, "systemctl restart failed (No such file or directory: 'systemctl'): see whether systemd runs on this "
               "host."),
    ],
)  # fmt: skip
def test_systemctl_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, message: str
) -> None:
    if script is not None:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlipwayError) as raised:
        systemd.systemctl("restart", "a.service")
    assert str(raised.value) == message
