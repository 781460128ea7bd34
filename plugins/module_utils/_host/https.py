# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a site on this host over TLS by the name that others know it by, wherever that name leads to by now.

The certificate is not verified against authorities, of which a host may lack the one that counts: who wants to know
whose answer it was compares the certificate with the one that it expects.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.request
from typing import Any
from urllib.parse import urlsplit

WAIT = 5.0  # seconds


def context() -> ssl.SSLContext:
    """TLS with whoever answers."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def shaken(connect_to: str, host: str) -> ssl.SSLSocket:
    """A connection to ``ADDRESS:PORT`` on which the server was asked for the name ``host``; OSError when there is none.

    An address of IPv6 stands without brackets or in them.
    """
    address, _, port = connect_to.rpartition(":")
    raw = socket.create_connection((address.strip("[]"), int(port)), timeout=WAIT)
    try:
        return context().wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def certificate(url: str, connect_to: str) -> bytes:
    """The certificate (DER) that the server at ``connect_to`` shows for the host of ``url``; OSError when none does."""
    with shaken(connect_to, urlsplit(url).hostname or "") as connection:
        return connection.getpeercert(binary_form=True) or b""


def leaf(pem: str) -> bytes:
    """The first certificate (DER) of a text in PEM format; nothing where there is none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, found, rest = pem.partition(begin)
    return ssl.PEM_cert_to_DER_cert(begin + rest.partition(end)[0] + end) if found else b""


def listens(connect_to: str) -> bool:
    """Whether a connection to ``ADDRESS:PORT`` is taken."""
    address, _, port = connect_to.rpartition(":")
    try:
        socket.create_connection((address.strip("[]"), int(port)), timeout=WAIT).close()
    except OSError:
        return False
    return True


class To(urllib.request.HTTPSHandler):
    """Sends every https request to the one ``ADDRESS:PORT``."""

    def __init__(self, connect_to: str) -> None:
        super().__init__()
        self.connect_to = connect_to

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        connect_to = self.connect_to

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                self.sock = shaken(connect_to, self.host)

        made: Any = Connection
        return self.do_open(made, request)
