# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check says of the values that were measured, and how its thresholds are set."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import (
    COUNT,
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    WORST,
    Finding,
    Measure,
    Rule,
    adjusted,
    judge,
    unknown,
    worst,
)

FULL = Rule("full", "Part that is full", "make room", "ratio", 0.8, 0.9, options={"bytes": 10})
HITS = Rule("hits", "Part that was found", "look", "ratio", 0.9, low=True)
BARE = Rule("bare", "Bare tables", "dress them", warning=1, critical=3, kind=COUNT)
WAIT = Rule("wait", "Time that one waits", "end it", "seconds", 10, kind=WORST)


@pytest.mark.parametrize(
    ("rule", "measures", "state", "value", "sentence"),
    [
        (FULL, [], OK, None, ""),
        (FULL, [Measure("a", 0.7)], OK, 0.7, ""),
        (FULL, [Measure("a", 0.7), Measure("b", 0.8, "of x")], WARNING, 0.8,
         "Part that is full: b 80.0% (of x); make room."),
        (FULL, [Measure("a", 0.85), Measure("b", 0.9)], CRITICAL, 0.9,
         "Part that is full: b 90.0%; a 85.0%; make room."),
        (HITS, [Measure("a", 0.9)], OK, 0.9, ""),
        (HITS, [Measure("a", 0.95), Measure("b", 0.899)], WARNING, 0.899, "Part that was found: b 89.9%; look."),
        (BARE, [], OK, 0, ""),
        (BARE, [Measure("b"), Measure("a")], WARNING, 2, "Bare tables: a; b; dress them."),
        (BARE, [Measure(each) for each in "abcdefg"], CRITICAL, 7,
         "Bare tables: a; b; c; d; e; and 2 more; dress them."),
        (WAIT, [], OK, 0, ""),
        (WAIT, [Measure("one", 12), Measure("two", 130)], WARNING, 130,
         "Time that one waits: two 2.2 min; one 12 s; end it."),
        (Rule("rights", "Rights", "", "", 1, kind=COUNT), [Measure("No right."), Measure("Too many.")], WARNING, 2,
         "No right. Too many."),
    ],
)  # fmt: skip
def test_judged(rule: Rule, measures: list[Measure], state: str, value: float | None, sentence: str) -> None:
    found = judge(rule, measures)
    assert (found.state, found.value, found.sentence) == (state, value, sentence)


def test_the_worst_counts() -> None:
    states = [UNKNOWN, OK, WARNING]
    findings = [Finding(FULL, state, None) for state in states]
    assert worst(findings) == WARNING
    assert worst([*findings, Finding(FULL, CRITICAL, None)]) == CRITICAL
    assert worst(findings[:2]) == OK
    assert worst([]) == OK


def test_what_is_not_known_says_why() -> None:
    assert unknown(FULL, "it is hidden.").sentence == "Part that is full: not known: it is hidden."
    assert unknown(FULL).sentence == ""


def test_a_result_has_all_that_is_shown() -> None:
    assert judge(FULL, [Measure("b", 0.8), Measure("a", 0.1)]).result() == {
        "check": "full", "title": "Part that is full", "state": WARNING, "value": 0.8, "unit": "ratio",
        "shown": "80.0%", "warning": 0.8, "critical": 0.9,
        "objects": [{"object": "b", "value": 0.8}, {"object": "a", "value": 0.1}],
        "sentence": "Part that is full: b 80.0%; make room.",
    }  # fmt: skip
    assert judge(FULL, []).result()["shown"] == ""


def test_thresholds_are_set_by_name() -> None:
    full, bare = adjusted([FULL, BARE], {"full": {"warning": None, "critical": 0.5, "bytes": 7}})
    assert (full.warning, full.critical, full.options) == (None, 0.5, {"bytes": 7})
    assert bare == BARE
    assert judge(full, [Measure("a", 0.49)]).state == OK
    assert adjusted([FULL], {}) == (FULL,)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"fill": {}}, "There is no check 'fill' to set thresholds for: the checks are full, bare."),
        ({"full": 3}, "The thresholds of check full are 3: give a dictionary with warning, critical, bytes."),
        ({"bare": {"bytes": 3}}, "The check bare has no 'bytes': it has warning, critical."),
        ({"full": {"warning": "much"}},
         "warning of check full is 'much': give a number, or null for one that is never reached."),
        ({"full": {"warning": True}},
         "warning of check full is True: give a number, or null for one that is never reached."),
        ({"full": {"bytes": None}}, "bytes of check full is None: give a number."),
    ],
)  # fmt: skip
def test_thresholds_that_there_are_not(thresholds: dict[str, object], message: str) -> None:
    with pytest.raises(SlipwayError) as refused:
        adjusted([FULL, BARE], thresholds)
    assert str(refused.value) == message
