# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run: what a person is told at its end."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.deployment_record import Record
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.notification import Kind


def report(record: Record, place: str, page: str = "") -> list[str]:
    """What a person is told at the end of a run that succeeded.

    ``place`` is where the record lies, and ``page`` its page; '' for nowhere.

    A long list is whole in the ledger alone.
    """
    nothing = "" if place else ", nothing was written (check mode)"
    facts = {name: shortened(str(value)) for name, value in record.facts.items() if value}
    places = {name: value for name, value in (("record", place), ("page", page)) if value}
    return [
        f"{record.application}/{record.environment}: {record.verb} succeeded{nothing}",
        *(f"  {name:<11} {value}" for name, value in {**facts, **places}.items()),
    ]


def failure(record: Record, lasting: str, place: str, page: str = "") -> str:
    """What a person is told at the end of a run that failed.

    ``lasting`` is what stays nevertheless, ``place`` where the record lies and ``page`` its page; '' for nothing.
    """
    return "\n".join(
        part
        for part in (
            f"{record.verb.capitalize()} of {record.application}/{record.environment} failed in phase "
            f"{record.failed_phase}, as told above.",
            lasting,
            f"The run is recorded in {place}{f', its page is {page}' if page else ''}." if place else "",
        )
        if part
    )


def notice(record: Record, told: str, before: str) -> tuple[str, str, Kind]:
    """What those are told who are not there: a line, a text, and its kind. ``told`` is the report or the failure.

    ``before`` is the status of the run before it, '' for none.
    """
    title = f"{record.application}/{record.environment}: {record.verb} {record.status}"
    if record.status == "succeeded":
        return title + (", after a run that failed" if before == "failed" else ""), told, "success"
    return title, "\n".join(filter(None, [told, record.error])), "failure"


def shortened(text: str, most: int = 4) -> str:
    """A list of more than ``most`` names as its first two and the number of the others."""
    names = text.split(", ")
    sentence = any(" " in name for name in names[1:])  # and not a list of names
    return text if sentence or len(names) <= most else f"{', '.join(names[:2])} and {len(names) - 2} more"
