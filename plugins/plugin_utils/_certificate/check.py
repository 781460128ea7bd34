# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate and its key serve a site: they belong together, name its domains, and are valid now."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

SOON = 14  # days before its end from which on a certificate is warned of


@dataclass(frozen=True)
class Pair:
    """A certificate with its key. ``content`` is both as one PEM file: key, certificate, and what it is signed by."""

    content: str
    names: Sequence[str]
    expires: datetime.datetime

    def days(self, now: datetime.datetime) -> int:
        """Whole days for which it is valid yet."""
        return (self.expires - now).days

    def warning(self, now: datetime.datetime) -> str:
        """A sentence when it ends soon, else ''."""
        if self.days(now) >= SOON:
            return ""
        left = counted(self.days(now), "day")
        return f"The certificate of {self.names[0]} expires in {left}, on {_day(self.expires)}: get a new one."


def covers(name: str, domain: str) -> bool:
    """Whether a name in a certificate is one for the domain: a ``*`` stands for one label (RFC 6125, section 6.4.3)."""
    if name.startswith("*.") and not domain.startswith("*."):
        return name[2:] == domain.partition(".")[2]
    return name == domain


def check(certificate: str, key: str, domains: Sequence[str], now: datetime.datetime) -> Pair:
    """The pair of these two texts in PEM format. Raises SlipwayError when it does not serve these domains now."""
    chain = _chain(certificate)
    leaf, names = chain[0], _names(chain[0])
    called = f"The certificate of {', '.join(names) or leaf.subject.rfc4514_string()}"
    private = _key(key)
    if _public(leaf) != _public(private):
        raise SlipwayError(
            f"{called} and the key do not belong together: give the key that it was requested with and, where the file "
            "holds several certificates, the site's own as the first."
        )
    missing = [domain for domain in domains if not any(covers(name, domain) for name in names)]
    if missing:
        raise SlipwayError(f"{called} does not name {', '.join(missing)}: get one that does, or correct the domains.")
    if leaf.not_valid_after_utc <= now:
        raise SlipwayError(f"{called} expired on {_day(leaf.not_valid_after_utc)}: get a new one.")
    if leaf.not_valid_before_utc > now:
        raise SlipwayError(
            f"{called} is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on: wait until then, or set this "
            "machine's clock."
        )
    parts = [private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
    parts += [each.public_bytes(Encoding.PEM) for each in chain]
    return Pair(b"".join(parts).decode(), names, leaf.not_valid_after_utc)


def _chain(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise SlipwayError(
            "The certificate can't be read: give it in PEM format, from -----BEGIN CERTIFICATE----- on, with those "
            "that it is signed by after it."
        ) from error


def _key(text: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(text.encode(), password=None)
    except TypeError as error:  # it is encrypted
        raise SlipwayError(
            "The certificate's key has a passphrase, which nobody types when nginx starts: take it off with openssl "
            "pkey, and encrypt the file with ansible-vault instead."
        ) from error
    except ValueError as error:
        raise SlipwayError(
            "The certificate's key can't be read: give it in PEM format, from -----BEGIN PRIVATE KEY----- on."
        ) from error


def _public(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.DNSName)


def _day(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d}"
