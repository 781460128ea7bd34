# SPDX-License-Identifier: GPL-3.0-or-later
"""What is allowed, what only warned of, and what denied, by rule; and waivers of a rule for one migration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration_decisions import Decision

DEFAULTS = {
    "edited": "deny",
    "edited_whitespace": "deny",
    "missing": "deny",
    "ahead": "deny",
    "out_of_order": "warn",
    "destructive": "warn",
    "lint": "warn",
    "drift": "warn",
}
CHOICES = ("allow", "warn", "deny")


@dataclass(frozen=True)
class Finding:
    """Something about a migration that a rule is about, as a sentence. Without a rule it is always denied."""

    rule: str
    migration: str
    text: str


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
    """Findings that stop the run, findings to warn of, and the waivers that were made use of."""

    denied: tuple[Finding, ...]
    warned: tuple[Finding, ...]
    waived: tuple[Waiver, ...]


@dataclass(frozen=True)
class Policy:
    """The rules of an environment."""

    rules: Mapping[str, str]
    waivers: tuple[Waiver, ...] = ()

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Policy:
        """Take the policy out of a module's parameters (see ``POLICY_SPEC``)."""
        given = {rule: choice for rule, choice in (params["policy"] or {}).items() if choice}
        return cls({**DEFAULTS, **given}, tuple(Waiver(**waiver) for waiver in params["waivers"]))

    def judge(self, findings: Iterable[Finding]) -> Verdict:
        """Sort findings by what the rules and waivers say of them."""
        denied, warned, used = [], [], []
        for finding in findings:
            choice = self.rules[finding.rule] if finding.rule else "deny"
            waivers = [
                each for each in self.waivers if (each.migration, each.rule) == (finding.migration, finding.rule)
            ]
            if choice == "deny" and not waivers:
                denied.append(replace(finding, text=finding.text + self._others(finding.rule)))
            elif choice != "allow":
                warned.append(finding)
                used += waivers[:1]
        return Verdict(tuple(denied), tuple(warned), tuple(dict.fromkeys(used)))

    def _others(self, rule: str) -> str:
        """Which migrations a rule is waived for, to be added to why another one is denied: a name may be mistyped."""
        names = ", ".join(dict.fromkeys(repr(each.migration) for each in self.waivers if rule and each.rule == rule))
        return f" The rule {rule!r} is waived only for {names}." if names else ""


POLICY_SPEC: dict[str, dict[str, Any]] = {
    "policy": {"type": "dict", "options": {rule: {"type": "str", "choices": list(CHOICES)} for rule in DEFAULTS}},
    "waivers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "migration": {"type": "str", "required": True},
            "rule": {"type": "str", "required": True, "choices": [rule for rule in DEFAULTS if rule != "drift"]},
            "reason": {"type": "str", "required": True},
            "author": {"type": "str", "required": True},
        },
    },
}
