# SPDX-License-Identifier: GPL-3.0-or-later
"""What is allowed, what only warned of, and what denied, by rule; and waivers of a rule for one migration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.decisions import Decision

DEFAULTS = {
    "edited": "deny",
    "edited_whitespace": "deny",
    "missing": "deny",
    "ahead": "deny",
    "out_of_order": "warn",
    "destructive": "warn",
    "blocking": "warn",
    "lint": "warn",
    "drift": "warn",
}
CHOICES = ("allow", "warn", "deny")
# What it is to let a rule not hold, where that is not just to go on.
_ALL_THE_SAME = {
    "ahead": "To run an older release on this database, as a stopgap",
    "missing": "To go on without the file",
    "edited": "To let the file differ from what was applied",
    "edited_whitespace": "To let the file differ from what was applied",
}


@dataclass(frozen=True)
class Finding:
    """Something about a migration that a rule is about, as a sentence. Without a rule it is always denied.

    ``mild``: here it is at most warned of.
    """

    rule: str
    migration: str
    text: str
    mild: bool = False


@dataclass(frozen=True)
class Waiver:
    """A person's word that a rule need not hold for a migration."""

    migration: str
    rule: str
    reason: str
    author: str

    @property
    def decision(self) -> Decision:
        """The waiver as it is recorded."""
        return Decision(f"waived: {self.rule}", self.reason, self.author)


@dataclass(frozen=True)
class Verdict:
    """Findings that stop the run, findings to warn of, and the waivers that were made use of.

    ``advice``: how the rules that stop it can be made to let it pass, a sentence each.
    """

    denied: tuple[Finding, ...]
    warned: tuple[Finding, ...]
    waived: tuple[Waiver, ...]
    advice: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """All that stops the run, and then what to do, in sentences."""
        return [*(each.text for each in self.denied), *self.advice]


@dataclass(frozen=True)
class Policy:
    """The rules of an environment; and what those who set them call the rules and the waivers."""

    rules: Mapping[str, str]
    waivers: tuple[Waiver, ...] = ()
    policy_name: str = "policy"
    waivers_name: str = "waivers"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Policy:
        """Take the policy out of a module's parameters (see ``POLICY_SPEC``)."""
        given = {rule: choice for rule, choice in (params["policy"] or {}).items() if choice}
        names = {f"{option}_name": name for option, name in (params.get("policy_names") or {}).items() if name}
        return cls({**DEFAULTS, **given}, tuple(Waiver(**waiver) for waiver in params["waivers"]), **names)

    def judge(self, findings: Iterable[Finding]) -> Verdict:
        """Sort findings by what the rules and waivers say of them."""
        denied, warned, used = [], [], []
        for finding in findings:
            choice = self.rules[finding.rule] if finding.rule else "deny"
            waivers = [
                each for each in self.waivers if (each.migration, each.rule) == (finding.migration, finding.rule)
            ]
            if choice == "deny" and not waivers and not finding.mild:
                denied.append(replace(finding, text=finding.text + self._others(finding.rule)))
            elif choice != "allow":
                warned.append(finding)
                used += waivers[:1]
        rules = dict.fromkeys(finding.rule for finding in denied if finding.rule)
        return Verdict(tuple(denied), tuple(warned), tuple(dict.fromkeys(used)), tuple(map(self.advice, rules)))

    def advice(self, rule: str) -> str:
        """How to have a rule that denies let something pass."""
        way = f"{_ALL_THE_SAME.get(rule, 'To go on all the same')}, set {self.policy_name}: {{{rule}: warn}}"
        if rule in WAIVED:
            waiver = f"{{migration: NAME, rule: {rule}, reason: WHY, author: WHO}}"
            way = f"{way}, or add to {self.waivers_name} for one migration: {waiver}"
        return f"{way}."

    def _others(self, rule: str) -> str:
        """Which migrations a rule is waived for, to be added to why another one is denied: a name may be mistyped."""
        names = ", ".join(dict.fromkeys(repr(each.migration) for each in self.waivers if rule and each.rule == rule))
        return f" The rule {rule!r} is waived only for {names}." if names else ""


WAIVED = [rule for rule in DEFAULTS if rule != "drift"]
POLICY_SPEC: dict[str, dict[str, Any]] = {
    "policy": {"type": "dict", "options": {rule: {"type": "str", "choices": list(CHOICES)} for rule in DEFAULTS}},
    "waivers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "migration": {"type": "str", "required": True},
            "rule": {"type": "str", "required": True, "choices": WAIVED},
            "reason": {"type": "str", "required": True},
            "author": {"type": "str", "required": True},
        },
    },
    "policy_names": {"type": "dict", "options": {"policy": {"type": "str"}, "waivers": {"type": "str"}}},
}
