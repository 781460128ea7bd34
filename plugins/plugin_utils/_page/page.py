# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a run: one file of HTML that needs nothing else, made of the record alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._text import duration, human
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.diagram import diagram
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.schema_change import changed_schema, changes
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.timeline import timeline
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.history import seconds, short, text
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(human=human, duration=duration, fact=text, commit=short)
    return environment


def page(record: Mapping[str, Any]) -> str:
    """The page of a record, as the file of the record has it."""
    schema = record.get("schema") or {}
    before, after = schema.get("before"), schema.get("after")
    tables = changed_schema(before, after)
    whole = {name: record.get(name) for name in _PARTS} | dict(record)
    return (
        _environment()
        .get_template("run.html")
        .render(
            run=whole,
            who=record.get("run") or {},
            took=seconds(record),
            clean=not str(record.get("revision", "")).endswith("-dirty"),
            timeline=timeline(record.get("phases") or ()),
            live={each["name"]: each for each in record.get("applied") or ()},
            copies={each["migration"]: each for each in record.get("rehearsal") or ()},
            diagram=diagram(tables) if tables else None,
            changes=changes(tables),
            compared=before is not None and after is not None,
        )
    )


# What a record need not have.
_PARTS = (
    "release", "former", "revision", "started", "finished", "failed_phase", "error", "facts", "rehearsal", "hooks",
    "probe", "images", "applied", "backup", "verification", "schema",
)  # fmt: skip
