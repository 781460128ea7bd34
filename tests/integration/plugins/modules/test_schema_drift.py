# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift is recorded and told through Ansible."""

from __future__ import annotations

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_migration


def test_drift(ansible: Ansible) -> None:
    ansible.write("1_a", "CREATE TABLE a (id int);")
    ansible.run("migrations")
    for flags, changed in ((["--check"], True), ([], True), (["--check"], False), ([], False)):
        assert ansible.run("schema_drift", *flags, state="recorded")["changed"] is changed
    assert ansible.run("schema_drift", "--check")["against"] == "snapshot"
    clean = ansible.run("schema_drift")
    assert (clean["changed"], clean["against"], clean["problems"]) == (False, "replay", [])
    ansible.postgres.execute("CREATE INDEX i ON a (id)", ansible.database)
    for against in ("replay", "snapshot"):
        drifted = ansible.run("schema_drift", "--diff", against=against)
        problem = "index public.i was added by hand: CREATE INDEX i ON public.a USING btree (id)"
        assert drifted["problems"] == [problem]
        assert "+index public.i: CREATE INDEX" in drifted["shown"]
    state = ansible.run("migrations_info", drift="snapshot")
    assert (state["status"], state["problems"], state["remarks"]) == ("up_to_date", [], [problem])
    denied = ansible.run("migrations_info", drift="auto", policy={"drift": "deny"})
    assert denied["problems"] == [problem, "To go on all the same, set policy: {drift: warn}."]
    assert (denied["remarks"], denied["drift_against"]) == ([], "replay")
    ansible.postgres.execute("DROP SCHEMA slipway CASCADE", ansible.database)
    unknown = ansible.run("migrations_info", drift="snapshot")
    assert unknown["remarks"] == [
        "Whether anything was changed outside the migrations is not known: "
        "No snapshot of the schema was recorded yet: record one (state: recorded), then compare."
    ]
