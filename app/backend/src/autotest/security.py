# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords, bearer tokens and stored secrets.

Passwords are argon2 hashes. A bearer token is a Fernet token (AES-CBC, signed with HMAC-SHA256) that holds the user's
id, a digest of the password's hash, and its own time of issue: a new hash ends all tokens of the user, be it of another
password or of the same with another salt. A team's GitHub token is encrypted, not hashed, because it is of use only if
GitHub can be shown it. The keys are derived from AUTOTEST_SECRET_KEY: whoever has that and the database can read the
GitHub tokens, and after it is changed everyone signs in again and teams enter their GitHub tokens anew.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SESSION_LIFETIME = timedelta(hours=12)
NO_PASSWORD = "!"  # no argon2 hash, so no password matches it

_hasher = PasswordHasher()

P = ParamSpec("P")
T = TypeVar("T")


def hash_password(password: str) -> str:
    return _hasher.hash(password)


class Busy(Exception):
    """More passwords wait to be hashed than it makes sense to queue."""


def _yield_to_others() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class Hashing:
    """A thread of its own for hashes, each of which takes 64 MiB and the processor's time for a while.

    Its priority is lower than that of the threads that answer other requests, and ``waiting`` hashes may wait for it.
    """

    def __init__(self, waiting: int = 6) -> None:
        self._thread = ThreadPoolExecutor(
            1, "hashing", lambda: os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        )
        self._waiting = waiting
        self._pending = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in that thread; raises Busy at once when too many wait."""
        if self._pending > self._waiting:
            raise Busy
        self._pending += 1
        future = self._thread.submit(function, *args, **kwargs)
        future.add_done_callback(lambda _: self._done())
        return await asyncio.wrap_future(future)

    def _done(self) -> None:
        self._pending -= 1


@dataclass
class Limiter:
    """So many attempts of each key within ``seconds``; those that turn out well are given back."""

    limit: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _windows: dict[str, tuple[float, int]] = field(default_factory=dict)

    def take(self, key: str) -> int:
        """Note an attempt. Returns 0, or in how many seconds the next one is allowed."""
        now = self.clock()
        end, count = self._windows.get(key, (0.0, 0))
        if end <= now:
            if len(self._windows) > 10_000:
                self._windows = {name: window for name, window in self._windows.items() if window[0] > now}
            end, count = now + self.seconds, 0
        if count >= self.limit:
            return max(1, round(end - now))
        self._windows[key] = (end, count + 1)
        return 0

    def give_back(self, key: str) -> None:
        end, count = self._windows.get(key, (0.0, 0))
        if count:
            self._windows[key] = (end, count - 1)


class Vault:
    """Everything that needs the secret key."""

    def __init__(self, secret_key: str) -> None:
        self._sessions = Fernet(_derive(secret_key, "session"))
        self._digest_key = _derive(secret_key, "password-digest")
        self._secrets = Fernet(_derive(secret_key, "github-token"))
        self._nobody = hash_password(secret_key)

    def verify_password(self, password_hash: str | None, password: str) -> bool:
        """Say whether the password matches; takes as long for a user that is unknown or has no password."""
        usable = password_hash is not None and password_hash.startswith("$argon2")
        try:
            _hasher.verify(password_hash if usable and password_hash else self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return usable

    def issue_token(self, user_id: int, password_hash: str) -> tuple[str, datetime]:
        """Return a bearer token and when it expires, if the password's hash stays what it is."""
        now = datetime.now(UTC).replace(microsecond=0)
        claim = f"{user_id}:{self._digest(password_hash)}"
        token = self._sessions.encrypt_at_time(claim.encode(), int(now.timestamp()))
        return token.decode(), now + SESSION_LIFETIME

    def read_token(self, token: str) -> tuple[int, str] | None:
        """Return the user's id and what ``holds`` asks for, or None for a token that is forged, damaged or expired."""
        try:
            claim = self._sessions.decrypt(token.encode(), ttl=int(SESSION_LIFETIME.total_seconds())).decode()
            user_id, _, digest = claim.partition(":")
            return int(user_id), digest
        except (InvalidToken, ValueError):
            return None

    def holds(self, digest: str, password_hash: str) -> bool:
        """Whether a token with this digest was issued for the hash."""
        return hmac.compare_digest(digest, self._digest(password_hash))

    def _digest(self, password_hash: str) -> str:
        return hmac.digest(self._digest_key, password_hash.encode(), "sha256").hex()[:32]

    def encrypt(self, secret: str) -> str:
        return self._secrets.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """Raises cryptography.fernet.InvalidToken when it was encrypted under another key."""
        return self._secrets.decrypt(encrypted.encode()).decode()


def _derive(secret_key: str, purpose: str) -> bytes:
    key = HKDF(SHA256(), length=32, salt=None, info=f"autotest {purpose}".encode()).derive(secret_key.encode())
    return base64.urlsafe_b64encode(key)
