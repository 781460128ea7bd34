# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a host starts when the time of a command of the application has come.

Every host of the application does, and one of them runs it: the first to note that time in the database. It needs no
controller: ``python3 PROGRAM NAME SETTINGS``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    autocommit,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import command_runs
from ansible_collections.slipway.deploy.plugins.module_utils._release.command_start import (
    AsProcesses,
    InContainers,
    Place,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import Process, parse


def place(params: Mapping[str, Any]) -> Place:
    """Where commands run here."""
    if params["label"]:
        return InContainers(params["label"], params["backend"], params["config"])
    return AsProcesses(Path(params["directory"]), Path(params["files"]))


def once(process: Process, where: Place, server: Server, host: str, now: float) -> tuple[int, str]:
    """Run a command if no other host has for this time, and none is at work; its exit status, and what came of it.

    Raises SlipwayError where no release serves, or the database can't be asked.
    """
    due, release = cron.latest(process.schedule, now), where.release()
    if where.works(process.name):
        return 0, f"Command {process.name} is at work on this host already: no other one is started."
    name = f"slipway {process.name} at {host}"  # whom pg_stat_activity names as the lock's holder
    options = {"statement_timeout": "0", "tcp_keepalives_idle": "60"}
    with sql_errors(f"Running command {process.name}"), connection(server, name, **options) as opened:
        opened.autocommit = True
        with opened.cursor() as cursor:
            if not command_runs.exists(cursor):
                raise SlipwayError(
                    f"Database {server.database!r} has no table of the runs of commands, by which hosts agree who runs "
                    f"{process.name}: deploy, which makes it."
                )
            why = command_runs.begin(cursor, process.name, due, host, release)
            if why:
                return 0, why
            began = time.monotonic()
            status = where.run(process)
            seconds = time.monotonic() - began
            # By a session of its own: after hours the one that holds the lock may have been lost.
            with autocommit(server) as other:
                command_runs.end(other, process.name, due, seconds, status)
    return status, f"Command {process.name} ended with exit status {status} after {seconds:.0f} s."


def main(arguments: list[str]) -> int:
    """Run the command of this name by these settings; its exit status."""
    name, settings = arguments
    params = json.loads(Path(settings).read_text(encoding="utf-8"))
    process = parse({name: params["processes"][name]}, params["stop_timeout"])[0]
    try:
        status, said = once(process, place(params), Server.from_params(params), params["host"], time.time())
    except (SlipwayError, OSError) as error:
        status, said = 1, sentence(error)
    print(said, file=sys.stderr if status else sys.stdout, flush=True)
    return status
