# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check of a database's health is, and what it says of the values that were measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._text import duration, human, listed

OK, WARNING, CRITICAL = "ok", "warning", "critical"
UNKNOWN = "unknown"  # what could not be measured is no finding, and is told
STATES = (OK, UNKNOWN, WARNING, CRITICAL)  # from the best to the worst
# Which of a check's values count: each, the worst of those that come and go, or how many there are.
EACH, WORST, COUNT = "each", "worst", "count"

# How a value is told, and what the name of a metric ends in (prometheus.io/docs/practices/naming).
UNITS: dict[str, tuple[Callable[[float], str], str]] = {
    "ratio": ("{:.1%}".format, "_ratio"),
    "seconds": (duration, "_seconds"),
    "bytes": (human, "_bytes"),
    "": ("{:,.0f}".format, ""),
}


@dataclass(frozen=True)
class Measure:
    """One thing that was measured, its value in the check's unit, and what is told along with it."""

    object: str
    value: float = 1
    note: str = ""


@dataclass(frozen=True)
class Rule:
    """One check. ``sql`` gives rows of (object, value, note); without it Python measures (see ``examine``).

    A value is a finding from its threshold on, or, where ``low``, below it; a threshold that is None is never reached.
    ``options`` are further numbers that ``sql`` takes by name: what is too small, or too new, to count.
    """

    name: str
    title: str  # what the values are, as the operator reads it and a metric's HELP says
    remedy: str  # what to do; empty where each object is a sentence that says it
    unit: str = ""
    warning: float | None = None
    critical: float | None = None
    sql: str = ""
    options: Mapping[str, float] = field(default_factory=dict)
    kind: str = EACH
    low: bool = False
    server: bool = False  # about the server, so that an administrator sees more of it than the owner

    def state(self, value: float) -> str:
        """How bad a value is."""
        for state, threshold in ((CRITICAL, self.critical), (WARNING, self.warning)):
            if threshold is not None and (value < threshold if self.low else value >= threshold):
                return state
        return OK

    def shown(self, value: float) -> str:
        """A value as a person reads it."""
        return UNITS[self.unit][0](value)

    @property
    def metric(self) -> str:
        """The end of the metric's name."""
        return self.name + UNITS[self.unit][1]


@dataclass(frozen=True)
class Finding:
    """What a check found: its state, the value that decides, what was measured (the worst first), and one sentence."""

    rule: Rule
    state: str
    value: float | None
    measures: Sequence[Measure] = ()
    sentence: str = ""

    def result(self) -> dict[str, Any]:
        """As a module returns it."""
        rule = self.rule
        return {
            "check": rule.name,
            "title": rule.title,
            "state": self.state,
            "value": self.value,
            "unit": rule.unit,
            "shown": "" if self.value is None else rule.shown(self.value),
            "warning": rule.warning,
            "critical": rule.critical,
            "objects": [{"object": each.object, "value": each.value} for each in self.measures],
            "sentence": self.sentence,
        }


def judge(rule: Rule, measures: Sequence[Measure]) -> Finding:
    """What a check says of its measures."""
    ordered = sorted(measures, key=lambda each: (each.value if rule.low else -each.value, each.object))
    if rule.kind == COUNT:
        value: float | None = len(ordered)
        state, bad = rule.state(len(ordered)), ordered
    else:
        value = ordered[0].value if ordered else None if rule.kind == EACH else 0
        bad = [each for each in ordered if rule.state(each.value) != OK]
        state = rule.state(value) if ordered and value is not None else OK
    return Finding(rule, state, value, ordered, "" if state == OK else sentence(rule, bad))


def unknown(rule: Rule, why: str = "") -> Finding:
    """That a check could not be made, and why, unless another finding says so."""
    return Finding(rule, UNKNOWN, None, (), f"{rule.title}: not known: {why.rstrip('.')}." if why else "")


def sentence(rule: Rule, bad: Sequence[Measure]) -> str:
    """What is wrong, with the values, and what to do."""
    if not rule.remedy:
        return " ".join(each.object for each in bad)
    told = [
        each.object + (f" {rule.shown(each.value)}" if rule.kind != COUNT else "") + (each.note and f" ({each.note})")
        for each in bad
    ]
    return f"{rule.title}: {listed(told)}; {rule.remedy}."


def worst(findings: Sequence[Finding]) -> str:
    """The worst state of all; what is not known is no finding."""
    return max((each.state for each in findings if each.state != UNKNOWN), key=STATES.index, default=OK)


def adjusted(rules: Sequence[Rule], thresholds: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The checks with other thresholds and options, by the check's name; None for one that is never reached.

    Raises SlipwayError for a name or a value that there is not.
    """
    known = {rule.name: rule for rule in rules}
    for name, numbers in thresholds.items():
        if name not in known:
            raise SlipwayError(f"There is no check {name!r} to set thresholds for: the checks are {', '.join(known)}.")
        known[name] = _adjust(known[name], numbers)
    return tuple(known.values())


def _adjust(rule: Rule, numbers: object) -> Rule:
    allowed = ("warning", "critical", *rule.options)
    if not isinstance(numbers, Mapping):
        raise SlipwayError(
            f"The thresholds of check {rule.name} are {numbers!r}: give a dictionary with {', '.join(allowed)}."
        )
    for key, number in numbers.items():
        if key not in allowed:
            raise SlipwayError(f"The check {rule.name} has no {key!r}: it has {', '.join(allowed)}.")
        number_wanted = number is not None or key in rule.options
        if number_wanted and (isinstance(number, bool) or not isinstance(number, (int, float))):
            raise SlipwayError(
                f"{key} of check {rule.name} is {number!r}: give a number"
                f"{'' if key in rule.options else ', or null for one that is never reached'}."
            )
    thresholds = {key: number for key, number in numbers.items() if key not in rule.options}
    options = {key: number for key, number in numbers.items() if key in rule.options}
    return replace(rule, **thresholds, options={**rule.options, **options})
