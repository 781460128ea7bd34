# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as Prometheus reads them, by its own parser."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._health.exposition import MOST, text
from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import (
    COUNT,
    WORST,
    Measure,
    Rule,
    judge,
    unknown,
)
from prometheus_client.parser import text_string_to_metric_families

FULL = Rule("full", "Part that is full, of 100 % and a \\", "make room", "ratio", 0.8, 0.9)
BARE = Rule("bare", "Bare tables", "dress them", warning=1, kind=COUNT)
WAIT = Rule("wait", "Time that one waits", "end it", "seconds", 10, kind=WORST)
LABELS = {"application": "shop", "environment": "test"}
ODD = 'a "quoted" \\ name\nof two lines {x="y"}, é'


def test_each_finding_is_a_metric() -> None:
    findings = [
        judge(FULL, [Measure(ODD, 0.85), Measure("b", 0.1), Measure(ODD, 0.2)]),
        judge(BARE, [Measure("t")]),
        judge(WAIT, [Measure("process 7", 3.5)]),
        unknown(Rule("hidden", "What is hidden", "ask", warning=1), "it is hidden"),
    ]
    given = text(findings, LABELS)
    assert given.endswith("\n")
    families = {family.name: family for family in text_string_to_metric_families(given)}
    assert {family.type for family in families.values()} == {"gauge"}
    assert families["slipway_health_full_ratio"].documentation == "Part that is full, of 100 % and a \\."
    found = {
        name: {tuple(label for key, label in sample.labels.items() if key not in LABELS): sample.value
               for sample in family.samples}
        for name, family in families.items()
    }  # fmt: skip
    assert found == {
        "slipway_health_severity": {("full",): 1, ("bare",): 1, ("wait",): 0},
        "slipway_health_measured": {("full",): 1, ("bare",): 1, ("wait",): 1, ("hidden",): 0},
        "slipway_health_threshold": {
            ("full", "warning"): 0.8, ("full", "critical"): 0.9, ("bare", "warning"): 1, ("wait", "warning"): 10,
            ("hidden", "warning"): 1,
        },
        "slipway_health_full_ratio": {(ODD,): 0.85, ("b",): 0.1},
        "slipway_health_bare": {(): 1},
        "slipway_health_wait_seconds": {(): 3.5},
    }  # fmt: skip
    samples = [sample for family in families.values() for sample in family.samples]
    assert all({key: sample.labels[key] for key in LABELS} == LABELS for sample in samples)


def test_only_the_worst_objects_are_time_series() -> None:
    given = text([judge(FULL, [Measure(f"t{number}", number / 100) for number in range(50)])], {})
    values = [line for line in given.splitlines() if line.startswith("slipway_health_full_ratio{")]
    assert len(values) == MOST
    assert values[0] == 'slipway_health_full_ratio{object="t49"} 0.49'


def test_nothing_is_said_of_nothing() -> None:
    assert text([], {}) == ""
