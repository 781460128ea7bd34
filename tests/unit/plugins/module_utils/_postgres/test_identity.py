# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start must not do to the server that an environment lives on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.identity import (
    check_environment,
    check_identity,
    check_start,
)

NO_FILE = None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "database.json"


@pytest.mark.parametrize(
    ("found", "exists"),
    [
        (NO_FILE, False),
        ({"server_version": "15.18 (Debian 15.18-0+deb12u1)", "system_identifier": "1"}, True),
        ({"server_version": "15devel", "system_identifier": ""}, True),
        ({"system_identifier": "1"}, True),
    ],
)
def test_may_start(file: Path, found: dict[str, str] | None, exists: bool) -> None:
    if found is not NO_FILE:
        file.write_text(json.dumps(found))
    check_start(file, 15, "the volume x", exists)


def refused(file: Path, version: int, exists: bool) -> str:
    with pytest.raises(SlipwayError) as caught:
        check_start(file, version, "the volume x", exists)
    return str(caught.value)


@pytest.mark.parametrize("exists", [True, False])
def test_another_major_version(file: Path, exists: bool) -> None:
    """Also where the data of the new version is missing, which is the usual case."""
    file.write_text('{"server_version": "17.4", "system_identifier": "1"}')
    assert refused(file, 15, exists) == (
        "This environment's database lives on PostgreSQL 17 but 15 is wanted: nothing was changed; go "
        "back to 17 (of a container to its image), take a backup, and restore it into a new environment."
    )


def test_missing_data(file: Path) -> None:
    file.write_text('{"server_version": "15.1", "system_identifier": "1"}')
    assert refused(file, 15, exists=False) == (
        f"{file} remembers this environment's server but its data, the volume x, is not there, and an empty server "
        f"would take its place: bring the data back, or, when it is lost, delete {file}, deploy and restore a backup."
    )


@pytest.mark.parametrize("text", ["[]", "{}", "", "{"])
def test_a_file_that_can_not_be_read(file: Path, text: str) -> None:
    file.write_text(text)
    assert refused(file, 15, exists=True).startswith(f"{file} can't be read (")


def test_identity(file: Path) -> None:
    assert check_identity(file, "1", "test")
    file.write_text(
        '{"server_version": "15.1", "system_identifier": "", "environment": "test"}'
    )  # the server hid it then
    assert check_identity(file, "1", "test")
    assert not check_identity(file, "", "test")


def test_environment(file: Path) -> None:
    assert check_environment(file, "test") == ""
    file.write_text('{"system_identifier": "1"}')  # of a version that did not note it
    assert check_environment(file, "test") == ""
    assert check_identity(file, "1", "test")
    file.write_text('{"system_identifier": "1", "environment": "prod"}')
    assert check_environment(file, "prod") == "prod"
    for check in (check_environment, lambda file, name: check_identity(file, "1", name)):
        with pytest.raises(SlipwayError) as caught:
            check(file, "test")
        assert str(caught.value) == (
            f"{file} says that the database belongs to environment 'prod' but this inventory is 'test': nothing was "
            "changed; use the right inventory, or the right state directory in this one."
        )
