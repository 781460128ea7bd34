# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the copy of a database is made: beside it on its server, or on a throw-away server that is like it.

That one is on the same host, or on another one, where it was made before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup.contents import read_role_definitions
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases, throwaway
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, autocommit, one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway_remote import REMOTE_SPEC, Remote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

PLACE_SPEC: dict[str, dict[str, Any]] = {
    "proof_server": {"type": "str", "choices": ["same", "own"], "default": "same"},
}
# A server that another host has made; of a run that a controller leads, and of no other.
PLACE_THERE_SPEC: dict[str, dict[str, Any]] = {"proof_at": REMOTE_SPEC}


@dataclass(frozen=True)
class Place:
    """A server for copies, with the administrator's cursor on it and its client programs.

    ``about`` is what a copy is created like; its ``data_directory`` is that of this server.
    """

    server: Server
    admin: Cursor
    client: Client
    about: databases.About

    def shown(self, copy: Server) -> dict[str, Any]:
        """How another module reaches a copy on it, and finds its programs where they are in a container."""
        return {
            "location": copy.location,
            "container": self.client.container,
            "container_socket_dir": self.client.container_socket_dir,
        }


def own_server(params: Mapping[str, Any], client: Client) -> throwaway.Throwaway | None:
    """The throw-away server that a module's options ask for, see ``PLACE_SPEC``; None where they don't.

    Raises SlipwayError when the host lacks the programs for it.
    """
    there = params.get("proof_at")
    if params["proof_server"] == "same" and not there:
        return None
    found = throwaway.Throwaway(Path(params["directory"]), client)
    if there:
        return Remote.of(found, there)
    found.check()
    return found


@contextlib.contextmanager
def opened(source: Place, own: throwaway.Throwaway | None, keep: bool = False) -> Iterator[Place]:
    """Where copies of a database of ``source`` are made, for a ``with`` block: there, or on a server of their ``own``.

    That is started for it, or reached on the other host, and removed at the end, unless it is to be kept and the block
    went well.
    """
    if own is None:
        yield source
        return
    try:
        if isinstance(own, Remote):
            own.reach()
        else:
            own.start(traits(source))
        with autocommit(own.server) as admin:
            admin.execute("SELECT current_setting('data_directory', true)")
            there = "" if isinstance(own, Remote) else str(one_row(admin)[0] or "")
            yield Place(own.server, admin, own.client, replace(source.about, data_directory=there))
    except BaseException:
        with contextlib.suppress(SlipwayError):  # the error that led here is the one to tell
            throwaway.remove(own.directory)
        raise
    if not keep:
        throwaway.remove(own.directory)


def traits(source: Place) -> throwaway.Traits:
    """What the server of ``source`` is like, with its roles."""
    with databases.reading(source.server) as reading:
        roles = read_role_definitions(reading)
    return throwaway.read(source.admin, roles)
