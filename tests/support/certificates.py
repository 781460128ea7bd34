# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of the tests' own."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True)
class Made:
    """A certificate and its key, in PEM format."""

    certificate: str
    key: str


# Of the whole test run, to the second as certificates tell it.
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def made(*names: str, begins: float = -1, ends: float = 90, passphrase: bytes = b"", common: str = "shop") -> Made:
    """A certificate that signs itself, with these names, valid between so many days from now."""
    key: EllipticCurvePrivateKey = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW + datetime.timedelta(days=begins))
    builder = builder.not_valid_after(NOW + datetime.timedelta(days=ends))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return Made(
        builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode(),
    )
