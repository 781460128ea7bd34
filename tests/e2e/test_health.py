# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a deployed environment, as an operator, a script and Prometheus ask for it."""

from __future__ import annotations

import json

from ansible_collections.slipway.deploy.plugins.module_utils._health.rules import RULES
from e2e.conftest import Deployed
from prometheus_client.parser import text_string_to_metric_families

HEALTH = "playbooks/health.yml"


def test_nothing_is_found_after_a_deploy(deployed: Deployed) -> None:
    deployed.first.succeeded()
    before = deployed.files()
    found = json.loads(deployed.play(HEALTH, "-e", "output=json", stdout=True).succeeded().output)
    assert [each["check"] for each in found if each["state"] in ("warning", "critical")] == []
    assert [each["check"] for each in found if each["state"] == "unknown"] == ["slow_statements"]
    assert len(found) == len(RULES)
    told = deployed.play(HEALTH, "--check", "-e", "fail_on=warning").succeeded()
    assert told.recap["changed"] == 0
    assert deployed.files() == before


def test_what_is_found_is_told_and_is_the_exit_status(deployed: Deployed) -> None:
    deployed.first.succeeded()
    deployed.sql("CREATE TABLE bare (id int)")
    try:
        told = deployed.play(HEALTH).succeeded()
        failed = deployed.play(HEALTH, "-e", "fail_on=warning").failed()
        critical = {"health_thresholds": {"tables_without_primary_key": {"critical": 1}}}
        metrics = deployed.play(HEALTH, "-e", json.dumps(critical), "-e", "output=prometheus", stdout=True)
        refused = deployed.play(HEALTH, "-e", json.dumps({"health_thresholds": {"bare": {}}})).failed()
    finally:
        deployed.sql("DROP TABLE bare")
    assert "- Tables without a primary key: public.bare; add one in a migration" in told.output
    assert failed.messages == ["autotest-local is warning: tables_without_primary_key."]
    assert metrics.code == 2
    families = {family.name: family for family in text_string_to_metric_families(metrics.output)}
    severity = {sample.labels["check"]: sample.value for sample in families["slipway_health_severity"].samples}
    assert {name for name, value in severity.items() if value} == {"tables_without_primary_key"}
    assert severity["tables_without_primary_key"] == 2
    assert refused.messages[0].startswith("There is no check 'bare' to set thresholds for: the checks are server,")
