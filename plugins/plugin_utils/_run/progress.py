# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows how far a module has come, from beside it, to where the callback of the same run looks.

The module writes to a file of its host (``module_utils/_run/progress.py``). A thread of the worker that waits for it
reads that file, over a connection of its own where the host is another one, and keeps the last note in a file of the
controller, below Ansible's temporary directory of this run. What goes wrong here costs the progress and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import is_dead, run_of
from ansible_collections.slipway.deploy.plugins.module_utils._run.progress import EVERY, VARIABLE
from ansible_collections.slipway.deploy.plugins.module_utils._text import duration, human
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.ssh import python_of, ssh_command
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.stopping import stopped_with, without_signals

AFTER = 1.5  # seconds after which a module is worth being looked at
# What runs on the host: a line for each change of the file, until it is gone, or nobody reads any more.
READER = f"""
import sys, time
path, last, left = sys.argv[1], "", 150
while True:
    try:
        with open(path) as opened:
            text = opened.read()
        left = 0
    except OSError:
        text, left = "", left - 1
        if left < 0:
            break
    if text and text != last:
        sys.stdout.write(text)
        sys.stdout.flush()
    last = text
    time.sleep({EVERY})
"""


def directory() -> Path:
    """Where the notes of this run are kept: the same in Ansible's own process and in its workers."""
    return Path(C.DEFAULT_LOCAL_TMP) / "progress"


def read() -> list[dict[str, Any]]:
    """The last note of every module that is at work and has told one, with its ``host``."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(directory().iterdir()):
            with contextlib.suppress(OSError, ValueError):
                found.append({**json.loads(path.read_text(encoding="utf-8")), "host": path.name})
    return found


def shown(note: Mapping[str, Any]) -> str:
    """A note in words: ``dumping 45 %, 120 MB of 270 MB, 35 MB/s, 4.3 s left``."""
    done, total, seconds = note["done"], note["total"], note["seconds"]
    words = [f"{note['step']} {done * 100 // total} %" if total else str(note["step"])]
    if done:
        in_bytes = note["unit"] == "B"
        amounts = [human(each) if in_bytes else f"{each:,}" for each in ([done, total] if total else [done])]
        words.append(" of ".join(amounts) + (f" {note['unit']}" if note["unit"] and not in_bytes else ""))
        rate = done / seconds if seconds else 0
        if rate and in_bytes:
            words.append(f"{human(rate)}/s")
        if rate and total > done and seconds >= 1:
            words.append(f"{duration((total - done) / rate)} left")
    return ", ".join(words)


def watched(
    action: ActionBase, task_vars: dict[str, Any] | None, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Call the module of an action, with the task's own arguments or these, and follow how far it comes.

    A signal goes on to it (see ``stopped_with``). Where it found what a run of this controller left that is dead, it
    is called again, to end that.
    """
    given = dict(action._task.args if arguments is None else arguments)

    def call() -> dict[str, Any]:
        return stopped_with(lambda: action._execute_module(module_args=given, task_vars=task_vars))

    with followed(action, task_vars or {}):
        result = call()
        holder = result.pop("left_by", None)
        if holder and is_dead(Run(**holder), run_of(os.getppid(), "", "", "")):
            given["interrupted"] = {**given["interrupted"], "_dead": holder}
            result = call()
        return result


@contextlib.contextmanager
def followed(action: ActionBase, variables: Mapping[str, Any]) -> Iterator[None]:
    """Have the module that the ``with`` block calls write its progress, and read it."""
    path = f"/tmp/.slipway-progress-{secrets.token_hex(16)}"  # the module takes no file that is there already
    task = action._task
    task.environment = [*(task.environment or []), {VARIABLE: path}]
    host = str(task.delegate_to or variables.get("inventory_hostname", ""))
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(path, host, variables, ended), daemon=True)
    with without_signals():
        thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(2)
        with contextlib.suppress(OSError):
            (directory() / host).unlink()


def _follow(path: str, host: str, variables: Mapping[str, Any], ended: threading.Event) -> None:
    if ended.wait(AFTER):
        return
    with contextlib.suppress(Exception):
        process = subprocess.Popen(
            _command(path, host, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a signal to the run is for the module
        )
        threading.Thread(target=_end, args=(process, ended), daemon=True).start()
        keep = directory()
        keep.mkdir(mode=0o700, exist_ok=True)
        assert process.stdout
        with process, process.stdout:
            for line in process.stdout:
                note = json.loads(line)
                if ended.is_set():
                    return
                partial = keep.with_name(f"progress-{os.getpid()}")
                partial.write_text(json.dumps(note), encoding="utf-8")
                partial.replace(keep / host)


def _end(process: subprocess.Popen[bytes], ended: threading.Event) -> None:
    ended.wait()
    process.kill()


def _command(path: str, host: str, variables: Mapping[str, Any]) -> Sequence[str]:
    """What runs the reader on the host: as the module runs there, which may be as another user."""
    own = variables["hostvars"][host]
    return ssh_command(own, [python_of(own), "-Ic", READER, path])
