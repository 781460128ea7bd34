# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that pg_restore can't read to its end says so; see modules/test_restore_dump.py for the rest."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import Roles
from ansible_collections.slipway.deploy.plugins.module_utils._backup.dump_file import DumpFile
from ansible_collections.slipway.deploy.plugins.module_utils._backup.import_dump import Import
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

pytestmark = pytest.mark.once  # needs no server


class Client:
    """pg_restore, which prints something and then fails."""

    def __init__(self, printed: bytes) -> None:
        self.printed = printed

    def script(self, archive: str, target: IO[bytes]) -> None:
        target.write(self.printed)
        target.flush()
        raise SlipwayError("pg_restore failed (exit code 1): could not read")


def script(tmp_path: Path, printed: bytes) -> list[bytes]:
    stand_in: Any = Client(printed)
    nothing: Any = None
    importing = Import(
        nothing,
        nothing,
        nothing,
        stand_in,
        nothing,
        tmp_path,
        "r",
        "k",
        tmp_path / "a",
        "a.dump",
        Roles("", "", ""),
        "",
    )
    with importing._script(DumpFile("a.dump", 1, "custom", False), io.BytesIO()) as found:
        return [statement.text for statement in found]


@pytest.mark.parametrize("printed", [b"SELECT 1;\nSELECT 2", b"SELECT 1;\n", b""])
def test_the_reason_is_the_programs(tmp_path: Path, printed: bytes) -> None:
    with pytest.raises(SlipwayError) as raised:
        script(tmp_path, printed)
    assert str(raised.value) == (
        "a.dump can't be read whole, and nothing was changed: pg_restore failed (exit code 1): could not read"
    )


def test_what_is_refused_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError) as raised:
        script(tmp_path, b"\\! sh\n" + b"SELECT 1;\n" * 100_000)
    assert "has the command '\\\\!' for psql in line 1" in str(raised.value)
