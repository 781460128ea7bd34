# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import (
    COUNT,
    CRITICAL,
    EACH,
    OK,
    UNKNOWN,
    WARNING,
    Finding,
)

PREFIX = "slipway_health_"
SEVERITY = {OK: 0, WARNING: 1, CRITICAL: 2}
MOST = 20  # objects of one check, the worst: each is a time series of its own

Sample = tuple[Mapping[str, str], float]


def text(findings: Sequence[Finding], labels: Mapping[str, str]) -> str:
    """All findings; ``labels`` are on every sample."""
    return "".join(_metrics(findings, labels))


def _metrics(findings: Sequence[Finding], labels: Mapping[str, str]) -> Iterable[str]:
    severities = [({"check": each.rule.name}, SEVERITY[each.state]) for each in findings if each.state != UNKNOWN]
    yield _metric("severity", "What a check found: 0 is ok, 1 a warning, 2 critical", severities, labels)
    measured = [({"check": each.rule.name}, int(each.state != UNKNOWN)) for each in findings]
    yield _metric("measured", "Whether a check could be made", measured, labels)
    thresholds = [
        ({"check": each.rule.name, "severity": severity}, threshold)
        for each in findings
        for severity, threshold in ((WARNING, each.rule.warning), (CRITICAL, each.rule.critical))
        if threshold is not None
    ]
    yield _metric("threshold", "From which value on a check warns or is critical", thresholds, labels)
    for each in findings:
        yield _metric(each.rule.metric, each.rule.title, _samples(each), labels)


def _samples(finding: Finding) -> list[Sample]:
    """The worst objects with their values; one number for a check whose objects come and go, or are counted."""
    if finding.rule.kind == EACH:
        worst: dict[str, float] = {}
        for measure in finding.measures:
            worst.setdefault(measure.object, measure.value)
        return [({"object": name}, value) for name, value in list(worst.items())[:MOST]]
    if finding.value is None:
        return []
    return [({}, len(finding.measures) if finding.rule.kind == COUNT else finding.value)]


def _metric(name: str, about: str, samples: Iterable[Sample], labels: Mapping[str, str]) -> str:
    lines = [f"{PREFIX}{name}{_labels({**labels, **own})} {value!r}\n" for own, value in samples]
    if not lines:
        return ""
    about = about.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {PREFIX}{name} {about}.\n# TYPE {PREFIX}{name} gauge\n" + "".join(lines)


def _labels(labels: Mapping[str, str]) -> str:
    """Labels in braces; a backslash, a quote and a line feed in a value are escaped."""
    escaped = (
        (name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for name, value in labels.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}" if labels else ""
