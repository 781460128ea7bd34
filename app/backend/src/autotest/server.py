# SPDX-License-Identifier: GPL-3.0-or-later
"""The application as a whole: probes, API, documentation and, when asked for, the page."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import sessionmaker
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autotest.api import router
from autotest.api.common import explain
from autotest.config import Settings
from autotest.database import make_engine
from autotest.readiness import REQUIRED_MIGRATION, why_not_ready
from autotest.reference import render
from autotest.security import Busy, Hashing, Limiter, Vault

log = logging.getLogger("uvicorn.error")


class Headers:
    """Middleware that puts the same few headers on every response."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def create_app(settings: Settings) -> FastAPI:
    """Build the application. It does not touch the database before the first request."""
    app = FastAPI(
        title="autotest",
        description="Builds, test runs, releases and scheduled tests of your teams.",
        version=settings.release,
        docs_url=None,
        redoc_url=None,
    )
    engine = make_engine(settings.database_url, settings.pool_size)
    app.state.engine = engine
    app.state.sessions = sessionmaker(engine, expire_on_commit=False)
    app.state.vault = Vault(settings.secret_key)
    app.state.hashing = Hashing()
    app.state.client_header = settings.client_header
    # Attempts to sign in that fail: of an address, and at an account.
    app.state.limiters = (Limiter(20, 60), Limiter(10, 60))
    headers = {"X-Release": settings.release, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    app.add_middleware(Headers, headers=headers)

    @app.exception_handler(RequestValidationError)
    def bad_input(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input itself: it may be a password, or text that is not valid in JSON.
        details = [{key: detail[key] for key in ("type", "loc", "msg")} for detail in error.errors()]
        return JSONResponse({"detail": details}, 422)

    @app.exception_handler(DBAPIError)
    def database_refused(request: Request, error: DBAPIError) -> JSONResponse:
        code, sentence = explain(error)
        if code >= 500:
            log.error("%s %s: %s", request.method, request.url.path, error.orig)
        return JSONResponse({"detail": sentence}, code)

    @app.exception_handler(PoolTimeoutError)
    def database_busy(request: Request, error: PoolTimeoutError) -> JSONResponse:
        return JSONResponse({"detail": "The server is busy; try again shortly."}, 503)

    @app.exception_handler(Busy)
    def hashing_busy(request: Request, error: Busy) -> JSONResponse:
        return JSONResponse({"detail": "Too many are signing in; try again shortly."}, 503, {"Retry-After": "2"})

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        # This response is sent outside the middleware; the server logs the traceback by itself.
        return JSONResponse({"detail": "Something went wrong; the server's log says what."}, 500, headers)

    @app.get("/healthz", tags=["probes"])
    async def health() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok", "release": settings.release}

    @app.get("/readyz", tags=["probes"], responses={503: {"description": "Not ready, and why."}})
    def readiness() -> JSONResponse:
        """The database answers and has every migration that this release needs."""
        reason = why_not_ready(settings.database_url)
        if reason:
            return JSONResponse({"status": "unavailable", "release": settings.release, "reason": reason}, 503)
        return JSONResponse({"status": "ready", "release": settings.release, "migration": REQUIRED_MIGRATION})

    @app.get("/docs", include_in_schema=False)
    def reference() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()))

    app.include_router(router)
    if settings.frontend_dir:
        app.mount("/", StaticFiles(directory=settings.frontend_dir, html=True), name="frontend")
    return app
