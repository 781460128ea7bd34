# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers beside a release, run as processes by role workers alone: seen in /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.release import get
from support.role import files, refused

PORT = 18093


def workers() -> list[tuple[int, str]]:
    """Process and release of each worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes() == b"sleep\x0086400\x00":
                words = (path / "environ").read_bytes().split(b"\x00")
                found.append((int(path.name), next(word.decode() for word in words if word.startswith(b"RELEASE="))))
        except FileNotFoundError:
            continue  # it ended meanwhile
    return sorted(found)


def test_two_run_with_the_releases_environment() -> None:
    assert [release for _, release in workers()] == ["RELEASE=one", "RELEASE=one"]


@pytest.mark.parametrize(
    ("processes", "said"),
    [
        ({"mailer": {"count": 2}}, "command"),
        ({"mailer": {"command": ["sleep", "86400"], "count": "many"}}, "many"),
        ({"mailer": {"command": ["sleep", "86400"], "replicas": 2}}, "replicas"),
        (
            {"mailer": {"command": ["sleep", "86400"], "count": 2}, "sorter": {"command": ["/no/such/program"]}},
            "/no/such/program",
        ),
        ({"mailer": {"command": ["sh", "-c", "echo no queue; exit 1"], "count": 2}}, "no queue"),
    ],
)
def test_bad_input_is_refused_and_the_workers_run_on(processes: dict[str, object], said: str) -> None:
    before = workers()
    assert said in refused(workers_processes=processes)
    assert workers() == before
    assert get(PORT)[1] == "one"


def test_another_runtime_is_refused() -> None:
    before = (workers(), list(files()))
    assert "value of workers_runtime must be one of: container, process, got: cloud" in refused(workers_runtime="cloud")
    assert (workers(), list(files())) == before
