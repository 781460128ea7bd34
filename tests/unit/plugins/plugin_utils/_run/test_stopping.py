# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that is told to stop tells its module, waits for it, and then ends as Ansible's own does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.stopping import stopped_with, without_signals
from support.release import ROOT

# A worker in a process group of its own whose module is a process, which ends half a second after it is told to.
WORKER = """
import os, subprocess, sys
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.stopping import stopped_with

MODULE = '''
import signal, sys, time
def end(number, frame):
    with open(sys.argv[1], "a") as told:
        told.write(signal.Signals(number).name)
    signal.signal(number, signal.SIG_IGN)
    time.sleep(0.5)
    sys.exit()
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)
'''

def module():
    subprocess.run([sys.executable, "-c", MODULE, sys.argv[1]])
    return {"msg": "Interrupted: nothing was changed.", "failed": True}

os.setpgrp()
result = stopped_with(module)
print("returned", result["msg"], flush=True)
"""


def run(tmp_path: Path, *signals: signal.Signals) -> tuple[int, str, str, str]:
    """The worker's status, output, what its parent's errors got, and the signals that the module got."""
    parent = f"""
import subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", {WORKER!r}, sys.argv[1]])
print(worker.pid, flush=True)
worker.wait()
print("status", worker.returncode, flush=True)
"""
    done = tmp_path / "done"
    with subprocess.Popen(
        [sys.executable, "-c", parent, str(done)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        worker = int(process.stdout.readline())
        assert process.stdout.readline() == "up\n"
        for each in signals:
            os.kill(worker, each)
        output, errors = process.communicate(timeout=60)
    *said, status = output.splitlines()
    return int(status.split()[1]), "\n".join(said), errors, done.read_text()


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
def test_an_interrupted_worker_ends_after_its_module_and_says_what_that_said(
    tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    assert run(tmp_path, *signals) == (1, "", "Interrupted: nothing was changed.\n", "SIGINT")


def test_a_worker_that_ansible_ends_gives_the_result_to_ansible(tmp_path: Path) -> None:
    assert run(tmp_path, signal.SIGTERM) == (0, "returned Interrupted: nothing was changed.", "", "SIGTERM")


def test_without_a_group_of_its_own_the_module_is_just_called() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert stopped_with(lambda: {"changed": signal.getsignal(signal.SIGTERM) is before}) == {"changed": True}


def test_a_thread_that_takes_no_signals_leaves_them_to_the_main_thread() -> None:
    masks: list[set[int]] = []
    thread = threading.Thread(target=lambda: masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, []))))
    own = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with without_signals():
        thread.start()
    thread.join()
    assert masks == [{*own, signal.SIGINT, signal.SIGTERM}]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == own
