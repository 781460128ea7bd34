# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the caller's environment reaches a module's work."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._module import forget_caller


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("PGHOST", False), ("PGPORT", False), ("PGUSER", False), ("PGPASSWORD", False), ("PGOPTIONS", False),
        ("PGSERVICE", False), ("PGSERVICEFILE", False), ("PGSSLMODE", False), ("PGSSLROOTCERT", False),
        ("PGTZ", False), ("PGCLIENTENCODING", False), ("PGDATESTYLE", False), ("PGAPPNAME", False), ("PGDATA", False),
        ("LANG", False), ("LANGUAGE", False), ("LC_MESSAGES", False), ("PATH", True), ("HOME", True),
        ("DOCKER_HOST", True), ("SLIPWAY_FENCE", True),
    ],
)  # fmt: skip
def test_forget_caller(name: str, kept: bool) -> None:
    environment = {name: "x", "LC_ALL": "de_DE.UTF-8"}
    forget_caller(environment)
    assert environment == {"LC_ALL": "C.UTF-8", **({name: "x"} if kept else {})}
