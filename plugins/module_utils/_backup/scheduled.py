# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a host runs on a schedule: it takes, proves, sends and prunes backups, or makes a drill.

It needs no controller: it holds the same lock as an operator's run, does its work in a process that the next run may
end, and adds a record to the same ledger. ``python3 PROGRAM backup|drill SETTINGS``.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup import store, take
from ansible_collections.slipway.deploy.plugins.module_utils._backup.drill import drill
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import VARIABLE, fenced
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger, Run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import is_dead, run_of

ACTIONS = ("backup", "drill")
PINGING = 10  # seconds


def work(action: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What is done while the lock is held: ``actions`` in sentences, and the ``backup`` that was taken."""
    if action == "drill":
        return {"actions": drill(params)}
    ledger = Ledger(Path(params["state_directory"]))
    release = str(ledger.serving().get("release", ""))
    own = {"release": release, "revision": ledger.source(release), "taken_by": "schedule"}
    with take.opened({**params, **own}) as backup, store.locked(backup.directory):
        result = backup.take()
    if result["offsite"]["problem"]:
        raise SlipwayError(result["offsite"]["problem"])
    return {"actions": result["actions"], "backup": result["shown"]}


def apart(action: str, settings: str, run: Run, directory: Path) -> dict[str, Any]:
    """Do the work in a process of this run, which a later run knows by its environment and may end."""
    done = subprocess.run(
        [sys.executable, sys.argv[0], "--apart", action, settings],
        env={**os.environ, VARIABLE: f"{run.fence} {directory}"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"error": f"The work ended with exit status {done.returncode} and said nothing: see the log above."}
    return found


def ping(url: str, problem: str) -> str:
    """Tell a dead man's switch that all went well, or at ``URL/fail`` what did not; why it could not be told."""
    if not url:
        return ""
    request = urllib.request.Request(url.rstrip("/") + ("/fail" if problem else ""), data=problem.encode())
    try:
        urllib.request.urlopen(request, timeout=PINGING).close()
    except (OSError, ValueError) as error:
        return f"The ping of {url.partition('://')[2].partition('/')[0]} failed ({getattr(error, 'reason', error)})."
    return ""


def run(action: str, settings: str) -> int:
    """One run; its exit status."""
    params = json.loads(Path(settings).read_text(encoding="utf-8"))
    ledger = Ledger(Path(params["state_directory"]))
    verb = f"scheduled {action}"
    found: dict[str, Any] = {}
    try:
        here = run_of(os.getpid(), params["application"], params["environment_name"], verb)
        taken = ledger.acquire_within(params["wait"], here, lambda other: is_dead(other, here))
        holder = replace(here, fence=taken.fence)
        try:
            found = apart(action, settings, holder, ledger.directory)
            ledger.append(record(holder, found))
        finally:
            ledger.release(holder)
    except (SlipwayError, OSError) as error:
        found = {"error": sentence(error)}
    problem = str(found.get("error", ""))
    # A drill that went well is no backup: it does not keep the switch from telling that none was taken.
    unheard = ping(params["ping_url"] if problem or action == "backup" else "", problem)
    print("\n".join([*found.get("actions", []), *filter(None, [problem, unheard])]), flush=True)
    return 1 if problem else 0


def record(holder: Run, found: Mapping[str, Any]) -> dict[str, Any]:
    """The line of the ledger, as of an operator's run."""
    failed = {"failed_phase": holder.verb.split()[-1], "error": found["error"]} if "error" in found else {}
    return {
        "application": holder.application, "environment": holder.environment, "verb": holder.verb, "release": "",
        "started": holder.since,
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "status": "failed" if failed else "succeeded", "phases": [],
        "facts": {name: found[name] for name in ("backup",) if name in found},
        "revision": "", "format": 1, **failed, "run": holder.__dict__,
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    if arguments[0] != "--apart":
        return run(*arguments)
    try:
        with fenced():
            found = work(arguments[1], json.loads(Path(arguments[2]).read_text(encoding="utf-8")))
    except (SlipwayError, OSError) as error:
        found = {"error": sentence(error)}
    print(json.dumps(found))
    return 0
