# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a hook, run as processes by role hooks alone: seen in the file that they write."""

from __future__ import annotations

import pytest
from support.role import STATE, files, refused, use

ANNOUNCED = STATE / "announced"
WRITE = ["sh", "-c", 'echo more >>"$ANNOUNCED"']


def test_the_commands_had_their_environment() -> None:
    assert ANNOUNCED.read_text() == "hunter2-secret\n"


def test_no_output_shows_a_secret() -> None:
    status, said = use("-vvv", hooks_commands=[["sh", "-c", "echo announcing with $TOKEN"]])
    assert (status, "announcing with ********" in said, "hunter2-secret" in said) == (0, True, False), said


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"hooks_runtime": "cloud", "hooks_commands": [WRITE]},
            "value of hooks_runtime must be one of: container, process, got: cloud",
        ),
        ({"hooks_chdir": "/no/such", "hooks_commands": [WRITE]}, "/no/such"),
        (
            {"hooks_commands": [["/no/such/program"], WRITE]},
            "The command of hook after_release /no/such/program can't be started",
        ),
        ({"hooks_commands": [["sh", "-c", "echo full; exit 3"], WRITE]}, "ended with 3"),
    ],
)
def test_bad_input_is_refused_and_no_later_command_runs(variables: dict[str, object], said: str) -> None:
    before = files()
    assert said in refused(**variables)
    assert files() == before
