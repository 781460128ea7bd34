# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration, read from environment variables, and secrets also from files that these name (DATABASE_URL_FILE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

SECRET_KEY_MIN_LENGTH = 32
POOL_SIZE_MAX = 100


class ConfigError(Exception):
    """A variable is missing or malformed; the message is one sentence that names it and never shows a secret."""


@dataclass(frozen=True)
class Settings:
    database_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    release: str = "unknown"
    pool_size: int = 5
    frontend_dir: Path | None = None
    client_header: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read and check every variable; raises ConfigError on the first that is wrong."""
        return cls(
            database_url=database_url(env),
            secret_key=_secret_key(env),
            release=_release(env),
            pool_size=_pool_size(env),
            frontend_dir=_frontend_dir(env),
            # In which a proxy in front, and nobody else, says who asks.
            client_header=env.get("AUTOTEST_CLIENT_HEADER", ""),
        )


def secret(env: Mapping[str, str], name: str) -> str:
    """The variable ``name``, or what the file holds that ``name_FILE`` names; '' when neither is set."""
    value, path = env.get(name, ""), env.get(f"{name}_FILE", "")
    if not path:
        return value
    if value:
        raise ConfigError(f"{name} and {name}_FILE are both set; leave one of them out.")
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{name}_FILE is {path!r}, which can't be read: {error.strerror}.") from None
    except UnicodeError:
        raise ConfigError(f"{name}_FILE is {path!r}, which is no text in UTF-8.") from None


def database_url(env: Mapping[str, str]) -> str:
    """Return DATABASE_URL once libpq has parsed it and it names a role and a database."""
    url = secret(env, "DATABASE_URL")
    if not url:
        raise ConfigError("DATABASE_URL is not set; set it to postgresql://role:password@host:port/database.")
    malformed = ConfigError(
        "DATABASE_URL is not of the form postgresql://role:password@host:port/database; "
        "percent-encode special characters in its parts."
    )
    if not url.startswith(("postgresql://", "postgres://")):
        raise malformed
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError):
        raise malformed from None  # libpq's own message may quote the password
    if not parts.get("user") or not parts.get("dbname"):
        raise malformed
    return url


def _secret_key(env: Mapping[str, str]) -> str:
    key = secret(env, "AUTOTEST_SECRET_KEY")
    if len(key) < SECRET_KEY_MIN_LENGTH:
        state = f"has {len(key)} characters" if key else "is not set"
        raise ConfigError(f"AUTOTEST_SECRET_KEY {state}; set it to at least {SECRET_KEY_MIN_LENGTH} random characters.")
    return key


def _release(env: Mapping[str, str]) -> str:
    release = env.get("AUTOTEST_RELEASE") or "unknown"
    if len(release) > 128 or not release.isascii() or not release.isprintable():
        raise ConfigError("AUTOTEST_RELEASE must be at most 128 printable ASCII characters.")
    return release


def _pool_size(env: Mapping[str, str]) -> int:
    text = env.get("AUTOTEST_POOL_SIZE") or "5"
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= POOL_SIZE_MAX):
        raise ConfigError(f"AUTOTEST_POOL_SIZE is {text!r}; set it to a whole number from 1 to {POOL_SIZE_MAX}.")
    return int(text)


def _frontend_dir(env: Mapping[str, str]) -> Path | None:
    text = env.get("AUTOTEST_FRONTEND_DIR", "")
    if not text:
        return None
    directory = Path(text)
    if not (directory / "index.html").is_file():
        raise ConfigError(f"AUTOTEST_FRONTEND_DIR is {text!r}, where there is no index.html.")
    return directory
