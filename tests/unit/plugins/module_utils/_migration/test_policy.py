# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules and waivers make of findings."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import rewrites
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Finding, Policy, Waiver

FINDING = Finding("missing", "1_a", "It is missing.")
ALWAYS = Finding("", "1_a", "It failed.")
WAIVER = Waiver("1_a", "missing", "because", "ada")

JUDGEMENTS = [
    # choice, waivers, denied, warned, waived
    ("deny", (), 1, 0, 0),
    ("warn", (), 0, 1, 0),
    ("allow", (), 0, 0, 0),
    ("deny", (WAIVER,), 0, 1, 1),
    ("deny", (Waiver("2_b", "missing", "because", "ada"),), 1, 0, 0),
    ("deny", (Waiver("1_a", "edited", "because", "ada"),), 1, 0, 0),
]


@pytest.mark.parametrize(("choice", "waivers", "denied", "warned", "waived"), JUDGEMENTS)
def test_judgements(choice: str, waivers: tuple[Waiver, ...], denied: int, warned: int, waived: int) -> None:
    verdict = Policy({**DEFAULTS, "missing": choice}, waivers).judge([FINDING])
    assert (len(verdict.denied), len(verdict.warned), len(verdict.waived)) == (denied, warned, waived)


# Waivers that do not hold, and what is added to the denial: the name may be mistyped.
OTHERS = [
    ((), ""),
    ((Waiver("1_a", "edited", "because", "ada"),), ""),
    ((Waiver("1_aa", "missing", "because", "ada"),), " The rule 'missing' is waived only for '1_aa'."),
    (
        (Waiver("1_aa", "missing", "because", "ada"), Waiver("2_b", "missing", "because", "ada")),
        " The rule 'missing' is waived only for '1_aa', '2_b'.",
    ),
]


@pytest.mark.parametrize(("waivers", "added"), OTHERS)
def test_a_denial_names_what_its_rule_is_waived_for(waivers: tuple[Waiver, ...], added: str) -> None:
    (denied,) = Policy({**DEFAULTS, "missing": "deny"}, waivers).judge([FINDING]).denied
    assert denied.text == f"It is missing.{added}"


ADVICE = [
    ("ahead", "To run an older release on this database, as a stopgap, set app_rules: {ahead: warn}, or add to "
     "app_exceptions for one migration: {migration: NAME, rule: ahead, reason: WHY, author: WHO}."),
    ("lint", "To go on all the same, set app_rules: {lint: warn}, or add to app_exceptions for one migration: "
     "{migration: NAME, rule: lint, reason: WHY, author: WHO}."),
    ("drift", "To go on all the same, set app_rules: {drift: warn}."),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "advice"), ADVICE)
def test_a_denial_says_once_how_to_let_it_pass_in_the_operators_words(rule: str, advice: str) -> None:
    names = {"policy": "app_rules", "waivers": "app_exceptions"}
    policy = Policy.from_params({"policy": {rule: "deny"}, "waivers": [], "policy_names": names})
    found = [Finding(rule, name, f"{name} is so.") for name in ("1_a", "2_b")]
    assert policy.judge(found).problems == ["1_a is so.", "2_b is so.", advice]


def test_what_is_mild_is_at_most_warned_of() -> None:
    mild = Finding("lint", "1_a", "Too long a name.", mild=True)
    assert Policy({**DEFAULTS, "lint": "deny"}).judge([mild]).warned == (mild,)
    assert Policy({**DEFAULTS, "lint": "allow"}).judge([mild]).warned == ()


def test_what_has_no_rule_is_always_denied() -> None:
    assert Policy(dict.fromkeys(DEFAULTS, "allow"), (WAIVER,)).judge([ALWAYS]).denied == (ALWAYS,)


def test_a_policy_given_in_part_keeps_the_defaults() -> None:
    policy = Policy.from_params({"policy": {"missing": "warn", "edited": None}, "waivers": []})
    assert policy.rules == {**DEFAULTS, "missing": "warn"}


TYPES = [
    ("character varying(10)", "varchar(20)", False),
    ("character varying(10)", "varchar(5)", True),
    ("character varying(10)", "varchar", False),
    ("character varying", "varchar(5)", True),
    ("numeric(10,2)", "numeric(12, 2)", False),
    ("numeric(10,2)", "numeric(12, 3)", True),
    ("integer", "integer", False),
]


@pytest.mark.parametrize(("old", "new", "expected"), TYPES)
def test_rewrites(old: str, new: str, expected: bool) -> None:
    assert rewrites(old, new) == expected
