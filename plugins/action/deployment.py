# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out on the controller who runs, what became of it, and whether a lock's holder is a dead process of its own."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked, of_environment
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import is_dead, run_of
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.page import page as page_of_record
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.attestation import attest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.deployment_record import (
    Record,
    error,
    of_ledger,
    phases,
    stopped,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.evidence import evidence
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.notification import tell
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.progress import watched
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import text, write
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.report import failure, notice, report
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.revision import revision

display = Display()
KEY = "make it with ssh-keygen -t ed25519, correct app_record_key, or leave that out"
SLICE = 10.0  # seconds for which a host waits for the lock before it is looked whether its holder is alive


def this_run(application: str, environment: str, verb: str) -> Run:
    """The ``ansible-playbook`` process above this worker."""
    return run_of(os.getppid(), application, environment, verb)


def without(secrets: Collection[str], value: Any) -> Any:
    """A record, or a part of it, with the secrets masked in its texts."""
    if isinstance(value, Mapping):
        return {key: without(secrets, item) for key, item in value.items()}
    if isinstance(value, list):
        return [without(secrets, item) for item in value]
    return masked(value, secrets) if isinstance(value, str) else value


def noted(variables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the phases of each host have noted under a name, by host: those of this play and then all others."""
    everywhere = variables.get("hostvars", {})
    hosts = [*variables.get("ansible_play_hosts_all", []), *variables.get("groups", {}).get("all", [])]
    return {host: everywhere[host][name] for host in hosts if name in everywhere.get(host, {})}


def keep_here(record: Mapping[str, Any], directory: Path, key: str) -> str:
    """Write the record and the page of a run on this controller, sign them with the key, if any, and return the page.

    '' where that can't be done, with a warning: nothing of the run depends on it.
    """
    try:
        whole = json.loads(text(record))
        page = str(write(whole, page_of_record(whole), directory.expanduser()))
    except Exception as cause:  # of whatever kind: the run has ended, and its record must be kept
        reason = plain(cause) if isinstance(cause, OSError) else f"{type(cause).__name__}: {cause}"
        display.warning(
            f"The record and the page of this run were not written into {directory}: {reason}; see that this directory "
            "can be written. The run itself is recorded in the ledger."
        )
        return ""
    try:
        if key:
            attest(whole, directory.expanduser(), key)
    except (SlipwayError, OSError) as cause:
        display.warning(f"The record of this run is not signed: {sentence(cause)}")
    return page


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        status, lasting = arguments.pop("status", ""), arguments.pop("lasting", "")
        failed_phase = arguments.pop("failed_phase", "")
        release, started = arguments.pop("release", ""), arguments.pop("started", "")
        source, commit = arguments.pop("source", ""), arguments.pop("revision", "")
        facts, rehearsal = arguments.pop("facts", {}), arguments.pop("rehearsal", [])
        hooks = arguments.pop("hooks", [])
        receivers = arguments.pop("receivers", [])
        probe, found = arguments.pop("probe", {}), arguments.pop("found", {})
        records, key = arguments.pop("records", ""), arguments.pop("key", "")
        secrets = self.secrets(arguments.pop("secrets", []), variables)
        run = this_run(
            arguments.get("application", ""), arguments.get("environment_name", ""), arguments.get("verb", "deploy")
        )
        arguments["run"] = asdict(run)
        if key and arguments.get("state") == "locked" and not Path(key).expanduser().is_file():
            return {
                "failed": True,
                "msg": f"{key} is to sign the record of this run, but there is no such file: {KEY}.",
            }
        made: Record | None = None
        if status:
            errors = noted(variables, "phase_error")
            if errors and status == "succeeded":
                return {"failed": True, "msg": stopped(errors)}
            # Ansible goes on with the hosts that it reaches, and a play without the lost one ends the run.
            lost = {host: phase for host, phase in noted(variables, "phase_open").items() if phase}
            if lost and not errors:
                status, failed_phase = "failed", next(iter(lost.values()))
            made = Record(
                application=run.application,
                environment=run.environment,
                verb=run.verb,
                release=release,
                revision=commit,
                started=started,
                finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                status=status,
                phases=phases(noted(variables, "phase_results")),
                facts=facts,
                rehearsal=rehearsal,
                hooks=hooks,
                probe=probe,
                evidence=evidence(found),
                failed_phase=failed_phase,
                error=error(errors, len(variables.get("ansible_play_hosts_all", [])) > 1, lost),
            )
            kept = without(secrets, made.result())
            arguments["record"] = of_ledger(kept)

        result = self.keep(arguments, run, task_vars)
        page = ""
        if records and result.get("interrupted"):
            keep_here(result["interrupted"], Path(records), key)
        if made and records and not self._task.check_mode:
            # Also of a run that can't write into its ledger any more.
            page = keep_here({**kept, "run": result.get("deployment", {}).get("run", asdict(run))}, Path(records), key)
        if source and not result.get("failed"):
            result["revision"] = revision(source)
        if made and not result.get("failed"):
            file = "" if self._task.check_mode else f"{arguments['directory']}/deployments.jsonl"
            place = f"{file} on {self._task.delegate_to or variables['inventory_hostname']}" if file else ""
            result["report"] = report(made, place if len(variables["groups"]["all"]) > 1 else file, page)
            told = "\n".join(result["report"])
            if status == "failed":
                told = failure(made, lasting, place, page)
                result.update(failed=True, msg=told)
            title, body, kind = notice(made, told, (result["deployment"]["last"] or {}).get("status", ""))
            for unheard in tell([] if self._task.check_mode else receivers, title, masked(body, secrets), kind):
                display.warning(unheard)
        return result

    def keep(self, arguments: dict[str, Any], run: Run, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Call the module, as often as there is to wait for the lock, since only here a holder is known to be dead."""
        ends, arguments["wait"] = time.monotonic() + float(arguments.get("wait", 0)), 0
        while True:
            result = watched(self, task_vars, arguments)
            if "holder" not in result:
                return result
            if is_dead(Run(**result["holder"]), run) and arguments.get("take_over") != result["holder"]:
                arguments["take_over"] = result["holder"]
            elif time.monotonic() >= ends:
                return result
            arguments["wait"] = min(ends - time.monotonic(), SLICE)

    def secrets(self, names: list[str], task_vars: Mapping[str, Any]) -> frozenset[str]:
        """The secrets in the variables of these names: texts, or environments of commands.

        One that can't be read is passed over: the record of a failure must be written whatever it was that failed.
        """
        # As in check mode, in which a secret that is missing is not generated.
        templar = self._templar.copy_with_new_env(available_variables={**task_vars, "ansible_check_mode": True})
        found: set[str] = set()
        for name in names:
            with contextlib.suppress(AnsibleError):
                value = templar.template(task_vars.get(name, ""))
                found |= of_environment(value, guess=False) if isinstance(value, Mapping) else {str(value)}
        return frozenset(found)
