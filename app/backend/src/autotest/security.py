# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords, bearer tokens and stored secrets.

Passwords are argon2 hashes. A bearer token is a Fernet token (AES-CBC, signed with HMAC-SHA256) that holds the user's
id and its own time of issue. A team's GitHub token is encrypted, not hashed, because it is of use only if GitHub can be
shown it. Both keys are derived from AUTOTEST_SECRET_KEY: whoever has that and the database can read the GitHub tokens,
and after it is changed everyone signs in again and teams enter their GitHub tokens anew.
"""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SESSION_LIFETIME = timedelta(hours=12)
NO_PASSWORD = "!"  # no argon2 hash, so no password matches it

_hasher = PasswordHasher()
_hashing = threading.BoundedSemaphore(2)  # each hash takes 64 MiB


def hash_password(password: str) -> str:
    with _hashing:
        return _hasher.hash(password)


class Vault:
    """Everything that needs the secret key."""

    def __init__(self, secret_key: str) -> None:
        self._sessions = Fernet(_derive(secret_key, "session"))
        self._secrets = Fernet(_derive(secret_key, "github-token"))
        self._nobody = hash_password(secret_key)

    def verify_password(self, password_hash: str | None, password: str) -> bool:
        """Say whether the password matches; takes as long for a user that is unknown or has no password."""
        usable = password_hash is not None and password_hash.startswith("$argon2")
        with _hashing:
            try:
                _hasher.verify(password_hash if usable and password_hash else self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False
        return usable

    def issue_token(self, user_id: int) -> tuple[str, datetime]:
        """Return a bearer token and when it expires."""
        now = datetime.now(UTC).replace(microsecond=0)
        token = self._sessions.encrypt_at_time(str(user_id).encode(), int(now.timestamp()))
        return token.decode(), now + SESSION_LIFETIME

    def read_token(self, token: str) -> int | None:
        """Return the user's id, or None for a token that is forged, damaged or expired."""
        try:
            return int(self._sessions.decrypt(token.encode(), ttl=int(SESSION_LIFETIME.total_seconds())))
        except (InvalidToken, ValueError):
            return None

    def encrypt(self, secret: str) -> str:
        return self._secrets.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """Raises cryptography.fernet.InvalidToken when it was encrypted under another key."""
        return self._secrets.decrypt(encrypted.encode()).decode()


def _derive(secret_key: str, purpose: str) -> bytes:
    key = HKDF(SHA256(), length=32, salt=None, info=f"autotest {purpose}".encode()).derive(secret_key.encode())
    return base64.urlsafe_b64encode(key)
