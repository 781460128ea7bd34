# SPDX-License-Identifier: GPL-3.0-or-later
"""The studio: a database in a browser, at an address of this machine, for as long as its program runs."""

from __future__ import annotations

import errno
import logging
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import READ_ONLY, Session

try:
    import psycopg2
    import uvicorn
    from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.gate import App, Gate, guarded
    from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.tables import Mapped, reflect
    from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.views import said, view_of
    from sqladmin import Admin
    from sqlalchemy import Engine, create_engine
    from sqlalchemy.exc import DBAPIError, NoResultFound
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles
except ImportError as error:
    raise SlipwayError(
        f"The studio can't start in the Python environment {sys.prefix}: {error}; install there what the collection's "
        "requirements.txt has."
    ) from error

HERE = Path(__file__).parent
LONGEST = "60s"  # of one statement


@dataclass(frozen=True)
class About:
    """What each page says of the studio itself."""

    access: str
    writes: bool
    ends: str
    schemas: Mapping[str, list[Mapped]]


def connect(settings: Mapping[str, str]) -> Engine:
    """An engine on the database, which is asked at once."""
    told: dict[str, Any] = dict(settings)
    told["options"] = f"{settings.get('options', '')} -c statement_timeout={LONGEST}"
    engine = create_engine(
        "postgresql+psycopg2://", creator=lambda: psycopg2.connect(**told),
        pool_size=5, pool_pre_ping=True,
    )  # fmt: skip
    try:
        engine.connect().close()
    except DBAPIError as error:
        raise SlipwayError(f"The studio can't connect: {said(error)}; see that the server runs.") from error
    return engine


def make_app(engine: Engine, title: str, access: str, write: bool, ends: str) -> Starlette:
    """The pages of a database's tables."""
    app = Starlette(routes=[Mount("/own", StaticFiles(directory=HERE / "own"))])
    admin = Admin(app, engine, base_url="/", title=title, templates_dir=str(HERE / "templates"))
    tables = reflect(engine)
    schemas: dict[str, list[Mapped]] = {}
    for table in tables:
        schemas.setdefault(table.schema, []).append(table)
        admin.add_view(view_of(table, write))
    admin.templates.env.globals["studio"] = About(access, write, ends, schemas)

    async def refused(request: Request, error: Exception) -> Response:
        """The database has refused something, or the row is gone."""
        text = said(error) if isinstance(error, DBAPIError) else "There is no such row any more."
        told = {"status_code": 400, "message": f"The database says: {text}" if isinstance(error, DBAPIError) else text}
        answer: Response = await admin.templates.TemplateResponse(request, "sqladmin/error.html", told, status_code=400)
        return answer

    admin.admin.exception_handlers |= {DBAPIError: refused, NoResultFound: refused}
    return app


def listen(port: int) -> socket.socket:
    """A port of the loopback interface, a free one for 0. SlipwayError where it is taken, or none."""
    if not 0 <= port <= 65535:
        raise SlipwayError(f"There is no port {port}: give one from 1 to 65535 by -e port=…, or none.")
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is taken" if error.errno == errno.EADDRINUSE else "is not for this user"
        raise SlipwayError(f"Port {port} of 127.0.0.1 {why}: give another one by -e port=…, or none.") from error


def serve(app: App, listener: socket.socket, seconds: float) -> bool:
    """Serve until a signal or until the time is over; whether it was the time."""
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=2, server_header=False
    )
    server, over = uvicorn.Server(config), threading.Event()

    def end() -> None:
        over.set()
        server.should_exit = True

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        timer.cancel()
    return over.is_set()


def run(session: Session) -> int:
    """Serve the database until Ctrl-C, or until the time is over."""
    logging.getLogger("sqladmin").setLevel(logging.CRITICAL)  # an error is on the page that has led to it
    minutes = int(session.options["minutes"])
    if minutes < 1:
        raise SlipwayError(f"The studio can't run for {minutes} minutes: give at least one by -e minutes=….")
    write = session.access != READ_ONLY
    with session.reach() as settings, listen(int(session.options["port"])) as listener:
        engine = connect(settings)
        try:
            ends = datetime.now().astimezone() + timedelta(minutes=minutes)
            role = f"{session.access}, as {session.server.user}"
            app: Any = make_app(engine, session.label, role, write, f"{ends:%H:%M}")
            gate = Gate(f"127.0.0.1:{listener.getsockname()[1]}", minutes * 60)
            print(f"{session.label}, {role}: {gate.url}", flush=True)
            print(f"Open it once. It ends at {ends:%H:%M}, or with Ctrl-C.", flush=True)
            over = serve(guarded(app, gate), listener, minutes * 60)
        finally:
            engine.dispose()
    print(f"The studio has ended{f' after {minutes} minutes' if over else ''}.", flush=True)
    return 0
