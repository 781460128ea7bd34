# SPDX-License-Identifier: GPL-3.0-or-later
"""What applying the pending migrations would do, for check mode, and the SQL of it as a difference."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files, Outcome, check
from ansible_collections.slipway.deploy.plugins.module_utils._migration.plan import Plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import Verdict
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, working


def survey(server: Server, files: Files) -> tuple[Plan, Verdict]:
    """Compare the database with the files, in a session that can't write."""
    with working(server, files.schema, default_transaction_read_only="on") as cursor:
        return files.compare(cursor)


def preview(server: Server, files: Files) -> Outcome:
    """What ``migrate`` would do. Raises SlipwayError where it would refuse."""
    plan, verdict = survey(server, files)
    check(plan, verdict)
    actions = [f"Would apply {each.name}." for each in plan.pending]
    return Outcome(plan.result(), actions, [*(each.text for each in verdict.warned), *plan.notes])


def difference(files: Files, outcome: Outcome) -> list[dict[str, str]]:
    """The SQL that was applied or, where nothing was, is pending, as the difference that a module returns."""
    done = [each["name"] for each in outcome.migrations["applied_now"]] or outcome.migrations["pending"]
    scripts = [files.payload.scripts[name] for name in done]
    return [
        {"before_header": "not applied", "after_header": script.path, "before": "", "after": script.text}
        for script in scripts
    ]
