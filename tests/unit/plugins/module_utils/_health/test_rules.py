# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks as they are told: each has a sentence, a metric, and a row in docs/health.md with its thresholds."""

from __future__ import annotations

import re

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import COUNT, UNITS, Rule
from ansible_collections.slipway.deploy.plugins.module_utils._health.rules import RULES
from support.release import ROOT

PAGE = (ROOT / "docs" / "health.md").read_text().partition("## The checks")[2]


def number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def row(rule: Rule) -> str:
    """The check's row in the page."""
    options = ", ".join(f"{name} {value:,}" for name, value in rule.options.items())
    unit = {"": "number", "ratio": "part of 1"}.get(rule.unit, rule.unit)
    warning, critical = (
        f"below {number(value)}" if rule.low and value else number(value) for value in (rule.warning, rule.critical)
    )
    return f"| `{rule.name}` | {rule.title} | {unit} | {warning} | {critical} | {options} |"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_check(rule: Rule) -> None:
    assert row(rule) in PAGE
    assert re.fullmatch(r"[a-z_]+", rule.name)
    assert rule.unit in UNITS
    assert not rule.title.endswith(".")
    assert not rule.remedy.endswith(".")
    assert rule.warning is not None
    assert rule.critical is None or (rule.critical <= rule.warning if rule.low else rule.critical >= rule.warning)
    assert rule.remedy or rule.kind == COUNT
    assert set(re.findall(r"%\((\w+)\)s", rule.sql)) <= set(rule.options)


def test_the_page_has_no_check_more() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE.partition("\n## ")[0], re.MULTILINE) == [rule.name for rule in RULES]
