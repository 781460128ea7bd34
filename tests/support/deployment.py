# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a state directory, on which runs lock and unlock."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.action.deployment import this_run
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import started_ticks
from support.modules import run_ansible, run_module

# This very process, which lives.
LIVE = replace(this_run("autotest", "test", "deploy"), pid=os.getpid(), started_ticks=started_ticks(os.getpid()))


class Host:
    """A state directory, and runs that work in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "state"

    @property
    def arguments(self) -> dict[str, object]:
        return {"directory": str(self.state), "application": "autotest", "environment_name": "test"}

    def run(self, state: str, run: Run = LIVE, *, check: bool = False, **more: object) -> dict[str, Any]:
        own = {"state": state, "run": asdict(run), "verb": run.verb}
        found = run_module("deployment", {**self.arguments, **own, **more}, check=check)
        assert bool(found.get("changed")) == any(each.startswith("Broke ") for each in found.get("actions", []))
        return found

    def ansible(self, state: str, *flags: str, **more: object) -> dict[str, Any]:
        return run_ansible("slipway.deploy.deployment", {**self.arguments, "state": state, **more}, self.home, *flags)

    def lock(self, run: Run) -> None:
        self.state.mkdir(exist_ok=True)
        (self.state / "lock.json").write_text(json.dumps(asdict(run)))

    def holder(self) -> dict[str, Any] | None:
        file = self.state / "lock.json"
        return json.loads(file.read_text()) if file.exists() else None

    def ledger(self) -> list[dict[str, Any]]:
        file = self.state / "deployments.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
