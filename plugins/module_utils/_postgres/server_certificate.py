# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate by which other hosts know a server of our own, and the authority that signs it and nothing else.

Both are made on the database's host, where the authority's key stays. The server has its certificate and key as one
file in its data directory, so that both change at once (manual section 19.9, ssl_cert_file and ssl_key_file).
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import secrets
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._certificate import lifetime, openssl
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, advice
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

AUTHORITY_DAYS, SERVER_DAYS = 7300, 1095  # each is renewed when less than a third is left
FILE = "slipway.pem"  # in the data directory
_SETTINGS = {"ssl_cert_file": FILE, "ssl_key_file": FILE, "ssl": "on"}
_PURPOSE = "makes the server's certificate"
_SIZE = 1 << 20  # bytes, of which a certificate and its key have far less
# The options of the module ``database`` that say who comes from other hosts, and where.
SPEC = {
    "address": {"type": "str", "default": ""},
    "clients": {"type": "list", "elements": "str", "default": []},
    "authority_directory": {"type": "path", "default": ""},
}


@dataclass(frozen=True)
class Certificate:
    """PEM: ``authority`` is public, with the one that comes next; ``server`` is the certificate and its key."""

    authority: str
    server: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.server.encode()).hexdigest()


def is_address(host: str) -> bool:
    """Whether a host is named by its IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def subject(address: str) -> str:
    """The names that a client compares with what it connects to; libpq before 15 takes an IP address for a name."""
    return f"IP:{address},DNS:{address}" if is_address(address) else f"DNS:{address}"


@dataclass(frozen=True)
class Keeper:
    """Keeps both in a ``directory`` of the host, for a server at ``address``.

    A new authority is told to the clients beside the old one, and signs from the server's next certificate on: each
    client knows it by then.
    """

    directory: Path
    address: str

    def due(self, now: float) -> dict[str, str]:
        """What is to be made or renewed at a time, in seconds since 1970, and how that is told: authority, server.

        Raises SlipwayError where there is no openssl, which says until when they are valid.
        """
        found = {}
        authority, server = self._life("authority.pem", now), self._life("server.pem", now)
        if authority == "Made" or (authority and not self._read("next.pem")):
            found["authority"] = f"{authority} the authority of the server's certificate."
        if authority == "Made" or server or self._read("address") != self.address:
            found["server"] = f"{server or 'Renewed'} the server's certificate, for {self.address}."
        return found

    def _life(self, name: str, now: float) -> str:
        found = lifetime.of(self._read(name))
        return "Made" if found is None else "Renewed" if found.due(now) else ""

    def _read(self, name: str) -> str:
        try:
            return (self.directory / name).read_text()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise SlipwayError(f"Can't read {self.directory / name}: {error.strerror}; {advice(error)}.") from error

    def certificate(self) -> Certificate:
        """What there is."""
        return Certificate(self._read("authority.pem") + self._read("next.pem"), self._read("server.pem"))

    def renew(self, due: Collection[str]) -> None:
        """Make what is due. What was cut short is due again."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.directory) as made:
                if "server" in due and self._read("next.pem"):
                    self._keep(self.directory, {"next.key": "authority.key", "next.pem": "authority.pem"})
                if "authority" in due:
                    self._make_authority(Path(made))
                if "server" in due:
                    self._make_server(Path(made))
        except OSError as error:
            raise SlipwayError(f"Can't write to {self.directory}: {error.strerror}; {advice(error)}.") from error

    def _make_authority(self, new: Path) -> None:
        openssl.make(
            new, "req", "-x509", *openssl.KEY, "-subj", f"/CN=Slipway database authority {secrets.token_hex(4)}",
            "-days", str(AUTHORITY_DAYS), "-addext", "keyUsage=critical,keyCertSign",
            "-keyout", "key", "-out", "pem", purpose=_PURPOSE,
        )  # fmt: skip
        name = "next" if self._read("authority.pem") else "authority"
        self._keep(new, {"key": f"{name}.key", "pem": f"{name}.pem"})

    def _make_server(self, new: Path) -> None:
        (new / "names").write_text(
            f"subjectAltName={subject(self.address)}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"
        )
        openssl.make(
            new, "req", "-new", *openssl.KEY, "-subj", "/CN=Slipway database", "-keyout", "key", "-out", "request",
            purpose=_PURPOSE,
        )  # fmt: skip
        openssl.make(
            new, "x509", "-req", "-in", "request", "-CA", str(self.directory / "authority.pem"),
            "-CAkey", str(self.directory / "authority.key"), "-CAserial", "serial", "-CAcreateserial",
            "-days", str(SERVER_DAYS), "-extfile", "names", "-out", "pem", purpose=_PURPOSE,
        )  # fmt: skip
        with (new / "pem").open("a") as file:
            file.write((new / "key").read_text())
        (new / "address").write_text(self.address)
        self._keep(new, {"pem": "server.pem", "address": "address"})

    def _keep(self, home: Path, names: dict[str, str]) -> None:
        for name, kept in names.items():
            (home / name).chmod(0o600)
            (home / name).replace(self.directory / kept)


def keep(cursor: Cursor, params: Mapping[str, Any], *, check_mode: bool) -> tuple[str, list[str]]:
    """Make a server known to other hosts; its authority (PEM), and what was done or would be.

    ``params`` are of SPEC; without an address there is nothing to do. Raises SlipwayError where a certificate can't be
    made.
    """
    if not params["address"]:
        return "", []
    keeper = Keeper(Path(params["authority_directory"]), params["address"])
    due = keeper.due(time.time())
    if due and not check_mode:
        keeper.renew(due)
    certificate = keeper.certificate()
    lacking, settings = settings_due(cursor, certificate.digest)
    actions = list(due.values())
    if lacking or settings:
        actions.append("Had the server take its certificate." if lacking else "Had the server turn TLS on.")
        if not check_mode:
            install(cursor, certificate, settings, lacking=lacking)
    return certificate.authority, actions


def settings_due(cursor: Cursor, digest: str) -> tuple[bool, list[str]]:
    """Whether the server lacks the file with that SHA-256, and which of its settings are another."""
    file = f"pg_catalog.pg_read_binary_file('{FILE}', 0, {_SIZE}, true)"
    cursor.execute(f"SELECT coalesce(encode(sha256({file}), 'hex') <> %s, true)", [digest])
    lacking = bool(one_row(cursor)[0])
    cursor.execute("SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)", [list(_SETTINGS)])
    found = dict(cursor.fetchall())
    return lacking, [name for name, wanted in _SETTINGS.items() if found[name] != wanted]


def install(cursor: Cursor, certificate: Certificate, settings: Sequence[str], *, lacking: bool) -> None:
    """Give it to the server, which is in use from the next session on. The text of no statement has the key in it."""
    if lacking:
        cursor.execute(
            "CREATE TEMPORARY TABLE slipway_certificate (number int GENERATED ALWAYS AS IDENTITY, line text)"
        )
        cursor.copy_expert("COPY slipway_certificate (line) FROM STDIN", io.StringIO(certificate.server))
        cursor.execute(
            f"COPY (SELECT line FROM slipway_certificate ORDER BY number) TO PROGRAM"
            f" 'umask 077 && cat > {FILE}.new && sync && mv {FILE}.new {FILE}'"
        )
        cursor.execute("DROP TABLE slipway_certificate")
    for name in settings:
        cursor.execute(f"ALTER SYSTEM SET {name} = '{_SETTINGS[name]}'")
    cursor.execute("SELECT pg_catalog.pg_reload_conf()")
