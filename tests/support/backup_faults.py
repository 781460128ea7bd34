# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends a module that backs up or restores, while clients use the database: the module, its sessions, or the server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg2
from conftest import Postgres
from support.backup import MODULES, ROOT, Site

OURS = "application_name = 'slipway' AND pid <> pg_backend_pid()"
WAYS = ("module", "session ended", "backend killed", "server stopped")


class Crowd:
    """Clients that connect again and again, as a pool of an application does."""

    def __init__(self, site: Site, size: int = 3) -> None:
        self.site, self.ended = site, threading.Event()
        self.threads = [threading.Thread(target=self.work) for _ in range(size)]

    def work(self) -> None:
        while not self.ended.is_set():
            with contextlib.suppress(psycopg2.Error):
                opened = self.site.postgres.connect(self.site.database)
                with contextlib.closing(opened), opened.cursor() as cursor:
                    while not self.ended.is_set():
                        cursor.execute("SELECT count(*) FROM t")
                        time.sleep(0.002)

    def __enter__(self) -> None:
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def begin(site: Site, module: str) -> subprocess.Popen[bytes]:
    """A module that runs by itself, in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": site.common}).encode())
    process.stdin.close()
    return process


def answering(server: Postgres) -> None:
    """Wait until a server that crashed has recovered."""
    deadline = time.monotonic() + 30
    while True:
        try:
            server.execute("SELECT 1")
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def strike(server: Postgres, process: subprocess.Popen[bytes], way: str) -> None:
    """End the module, its sessions, or the whole server."""
    if way == "module":
        process.kill()
    elif way == "session ended":
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
    elif way == "backend killed":
        pids = server.execute(f"SELECT pid FROM pg_stat_activity WHERE {OURS} ORDER BY query ~ '^ALTER' DESC LIMIT 1")
        for (pid,) in pids:
            os.kill(int(str(pid)), signal.SIGKILL)
            while Path(f"/proc/{pid}").exists():  # until the server has seen it, and ends all other sessions
                time.sleep(0.001)
    else:
        data = str(server.directory / "data")
        server.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        settings = f"-k {server.directory} -c listen_addresses='' -c fsync=off"
        server.run("pg_ctl", "-D", data, "-l", str(server.directory / "log"), "-w", "-o", settings, "start")
    answering(server)
