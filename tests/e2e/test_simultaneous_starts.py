# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty deploys that are started at once: exactly one runs, and the others stop and name it.

What is measured is the time from when a run comes to asking for the lock until it has told why it stops, as Ansible's
log has them; before that each reads its variables and files, which nobody else has a part in. Twenty at once share the
processors of this machine, so that each may take longer by so much; one by itself may not.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from e2e.conftest import Deployed
from support.environment import LONGEST_RUN
from support.orphans import wait_until

pytestmark = pytest.mark.soak
STARTS = 20
STOPS_WITHIN = 3.0  # seconds
SHARED_BY = max(1.0, STARTS / (os.cpu_count() or 1))
ASKS = re.compile(r"^(\S+ \S+) p=\d+ .*included: slipway\.deploy\.deployment for ", re.MULTILINE)
TOLD = re.compile(r"^(\S+ \S+) p=\d+ .*fatal: ", re.MULTILINE)


def when(pattern: re.Pattern[str], log: str) -> datetime.datetime:
    """The time of the one line of Ansible's log that matches."""
    [stamp] = pattern.findall(log)
    return datetime.datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f")


def start(deployed: Deployed, log: Path, *arguments: str) -> subprocess.Popen[str]:
    output = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_LOG_PATH": str(log)}
    return deployed.start("deploy.yml", *arguments, environ=output)


def seconds(log: Path) -> float:
    """From asking for the lock to the answer."""
    text = log.read_text()
    return (when(TOLD, text) - when(ASKS, text)).total_seconds()


def test_exactly_one_runs(deployed: Deployed, tmp_path: Path) -> None:
    deployed.first.succeeded()
    records, history = len(deployed.records()), deployed.history()
    file = deployed.application / "backend/src/autotest/main.py"
    file.write_text(f"{file.read_text()}\n# another release\n")
    # The one that runs stays at it until all others have ended.
    goes_on = tmp_path / "goes_on"
    hook = ["sh", "-c", f"until test -e {goes_on}; do sleep 0.1; done"]
    told = ["-e", json.dumps({"app_hooks": {"before_release": [hook]}})]
    logs = [tmp_path / f"{number}.log" for number in range(STARTS)]
    runs = [start(deployed, log, *told) for log in logs]

    def working() -> list[int]:
        return [number for number, run in enumerate(runs) if run.poll() is None]

    try:
        wait_until(lambda: len(working()) <= 1, LONGEST_RUN)
        lasting = working()
        late = start(deployed, tmp_path / "late.log", *told)
        outputs = [late.communicate(timeout=LONGEST_RUN)[0]]
    finally:
        goes_on.touch()
    outputs += [run.communicate(timeout=LONGEST_RUN)[0] for run in runs]
    [one] = [number for number, run in enumerate(runs) if run.returncode == 0]
    assert lasting == [one], outputs[one + 1]
    del outputs[one + 1], logs[one]
    for said in outputs:
        assert re.search(rf"is locked: deploy by \S+ \(pid {runs[one].pid}\) since ", " ".join(said.split())), said
    took = sorted(map(seconds, logs))
    print(f"from asking for the lock to the answer: {took} s; one by itself: {seconds(tmp_path / 'late.log')} s")
    assert took[-1] <= STOPS_WITHIN * SHARED_BY
    assert seconds(tmp_path / "late.log") <= STOPS_WITHIN

    assert [record["status"] for record in deployed.records()[records:]] == ["succeeded"]
    assert deployed.history() == history
    assert deployed.deploy().succeeded().recap["changed"] == 0
