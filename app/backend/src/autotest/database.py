# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to PostgreSQL."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, create_engine

CONNECT_TIMEOUT_SECONDS = 3
POOL_TIMEOUT_SECONDS = 5


def make_engine(url: str, pool_size: int = 5) -> Engine:
    """Return an engine for a libpq URL; it connects on first use, and again after the server has been away.

    libpq, not SQLAlchemy, parses the URL: the two disagree on sockets and on percent-encoding.
    """
    return create_engine(
        "postgresql+psycopg://",
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, **conninfo_to_dict(url)},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_pre_ping=True,
    )
