# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy that has nothing to do, phase by phase, as it was and as it is.

    python bench/no_op.py BEFORE HEAD

Clones each commit, deploys to `local` with this environment's Ansible, deploys again in turns, and tears down. Writes
the section "Nothing to do" of ``docs/benchmarks.md``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from page import ROOT, short, write_section

TITLE = "Nothing to do"
ROUNDS = 5


@dataclass(frozen=True)
class Site:
    """A commit's checkout, deployed."""

    checkout: Path
    settings: tuple[str, ...]

    def play(self, playbook: str, *more: str) -> list[dict[str, Any]]:
        """Run a playbook; what each play took."""
        found = self.checkout.parent / "plays.json"
        environment = {
            **os.environ,
            "PYTHONPATH": "",
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "bench" / "callbacks"),
            "TASKS_BY_PHASE": str(found),
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook")), playbook, *self.settings, *more]
        done = subprocess.run(command, cwd=self.checkout, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{playbook} failed in {self.checkout}:\n{done.stdout}{done.stderr}")
        plays: list[dict[str, Any]] = json.loads(found.read_text())
        return plays


@contextmanager
def deployed(commit: str) -> Iterator[Site]:
    """The commit, deployed to `local` in a directory that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as name:
        folder = Path(name)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "checkout")], check=True)
        subprocess.run(["git", "checkout", "-q", commit], cwd=folder / "checkout", check=True)
        settings = {"app_port": port, "state_dir": folder / "state", "secrets_file": folder / "secrets.yml"}
        site = Site(folder / "checkout", tuple(f"--extra-vars={key}={value}" for key, value in settings.items()))
        try:
            site.play("deploy.yml")
            yield site
        finally:
            site.play("playbooks/teardown.yml", "--extra-vars=delete_data=true")


def row(phase: str, cells: list[list[dict[str, Any]]]) -> str:
    """A phase's line: tasks, module calls, and the median of its seconds, for each commit."""
    columns = []
    for rounds in cells:
        of_phase = [[play for play in plays if phase in (play["name"], "all")] for plays in rounds]
        tasks, calls = (sum(play[key] for play in of_phase[-1]) for key in ("tasks", "calls"))
        seconds = median(sum(play["seconds"] for play in plays) for plays in of_phase)
        columns += [str(tasks), str(calls), f"{seconds:.1f}"]
    return f"| {phase} | " + " | ".join(columns) + " |"


def main() -> None:
    """Measure and write."""
    commits = [short(commit) for commit in sys.argv[1:]]
    with ExitStack() as stack:
        sites = [stack.enter_context(deployed(commit)) for commit in commits]
        measured: list[list[list[dict[str, Any]]]] = [[] for _ in sites]
        for _ in range(ROUNDS):
            for site, rounds in zip(sites, measured, strict=True):
                rounds.append(site.play("deploy.yml"))
    phases = list(dict.fromkeys(play["name"] for rounds in measured for play in rounds[-1]))
    heads = [f"{commit}: {what}" for commit in commits for what in ("tasks", "module calls", "s")]
    text = "\n".join(
        [
            "A deploy to `local` when everything is as it should be: tasks that ran, modules that ran on the host,\n"
            f"and seconds without Ansible's start (median of {ROUNDS} rounds in turns), {os.cpu_count()} processors.\n",
            "| phase | " + " | ".join(heads) + " |",
            "|---|" + "---|" * len(heads),
            *(row(phase, measured) for phase in [*phases, "all"]),
            "",
        ]
    )
    write_section(TITLE, text)


if __name__ == "__main__":
    main()
