# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill: the newest backup is restored, from away where copies are there, compared with its manifest, and dropped."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup import offsite, store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.place import Place, own_server
from ansible_collections.slipway.deploy.plugins.module_utils._backup.place import opened as opened_place
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restore import Restore
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, autocommit, sql_errors
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import DRILL, derived_name
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, duration

FILE = f"{offsite.NOTES}/drill.json"


@dataclass(frozen=True)
class Drill:
    """How a drill went: ``at`` in UTC (ISO 8601), ``where`` the backup came from, ``problem`` '' when all was right."""

    at: str
    backup: str
    where: str
    seconds: float
    problem: str = ""


def last(directory: Path) -> Drill | None:
    """The last one, or None where there was none. Raises SlipwayError where its file can't be read."""
    path = directory / FILE
    try:
        return Drill(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise SlipwayError(f"{path} can't be read ({error}): delete it, and make a drill.") from error


def drill(params: Mapping[str, Any]) -> list[str]:
    """Restore and compare the newest backup, and write how it went beside the backups; what was done, in sentences.

    ``params`` are the options of a backup. Raises SlipwayError, when it has written that, for whatever went wrong.
    """
    began, moment = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
    directory = Path(params["directory"])
    name, where, problem, rows = "", "", "", 0
    try:
        found = offsite.look(params)
        if found.problem:
            raise SlipwayError(found.problem)
        manifest = _newest(found, params["application"], params["environment_name"])
        name, where, rows = manifest.name, "away" if found.remote else "here", manifest.rows
        with store.locked(directory), _files(found, manifest) as (place, whole):
            _prove(params, place, whole)
    except SlipwayError as error:
        problem = str(error)
    done = Drill(moment.isoformat(timespec="seconds"), name, where, round(time.monotonic() - began, 1), problem)
    with store.file_errors(directory):
        (directory / FILE).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(str(directory / FILE), json.dumps(asdict(done)) + "\n")
    if problem:
        raise SlipwayError(f"The drill failed: {problem}")
    source = "its copy away from here" if where == "away" else "this host"
    return [
        f"Restored backup {name} from {source} into a scratch database and compared {counted(rows, 'row')} with its "
        f"manifest, in {duration(done.seconds)}."
    ]


def _newest(found: offsite.Found, application: str, environment: str) -> Manifest:
    """The newest backup away where copies are there, else the newest on this host."""
    known = [away.manifest for away in found.away.values()] if found.remote else []
    known = known or [entry.manifest for entry in found.here if entry.manifest and not found.remote]
    own = [each for each in known if (each.application, each.environment) == (application, environment)]
    if not own:
        place = found.remote.repository if found.remote else str(found.directory)
        raise SlipwayError(
            f"There is no backup of application {application!r}, environment {environment!r} in {place}: take one."
        )
    return max(own, key=lambda each: each.started)


@contextlib.contextmanager
def _files(found: offsite.Found, manifest: Manifest) -> Iterator[tuple[Path, Manifest]]:
    if found.remote:
        with found.remote.copy(found.away[manifest.name]) as copy:
            yield copy
    else:
        yield found.directory, manifest


def _prove(params: Mapping[str, Any], place: Path, manifest: Manifest) -> None:
    """Restore the backup whose files are in ``place`` into a database of its own, compare, and drop it."""
    server = Server.from_params(params)
    scratch = derived_name(server.database, DRILL)
    with sql_errors(f"The drill of database {server.database!r}"), autocommit(server) as admin:
        about = databases.describe(admin, server.database)
        client = Client.from_params(params, server, about.server_major)
        path = databases.search_path(admin, server.database)
        with opened_place(Place(server, admin, client, about), own_server(params, client)) as there:
            restore = Restore(
                there.server, there.server, there.admin, there.client, there.about, place, scratch, "", manifest,
                manifest.unprovable, search_path=path,
            )  # fmt: skip
            restore.check()
            restore.insist_on_room(manifest.database_size, params["space_factor"])
            databases.drop(there.admin, scratch)
            try:
                restore.compare(restore.copy())
            finally:
                databases.drop(there.admin, scratch)
