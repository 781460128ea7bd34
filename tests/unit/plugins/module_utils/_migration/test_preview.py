# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files, Outcome
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Migration, Payload, Script
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration.preview import difference

NAMES = ("1_a", "2_b", "3_c")
SCRIPTS = {name: Script(f"m/{name}/migration.sql", f"SELECT '{name}';\n", ()) for name in NAMES}
FILES = Files("m", "public", Payload.pack([Migration(name, ()) for name in NAMES], SCRIPTS), Policy(DEFAULTS))


@pytest.mark.parametrize(
    ("pending", "applied", "shown"),
    [
        (["2_b", "3_c"], [], ["2_b", "3_c"]),  # check mode
        (["3_c"], ["1_a", "2_b"], ["1_a", "2_b"]),  # what a rehearsal stopped before is no part of what it did
        ([], [], []),
    ],
)
def test_the_sql_of_what_was_or_would_be_applied(pending: list[str], applied: list[str], shown: list[str]) -> None:
    outcome = Outcome({"pending": pending, "applied_now": [{"name": name} for name in applied]}, [], [])
    assert difference(FILES, outcome) == [
        {
            "before_header": "not applied",
            "after_header": f"m/{name}/migration.sql",
            "before": "",
            "after": f"SELECT '{name}';\n",
        }
        for name in shown
    ]
