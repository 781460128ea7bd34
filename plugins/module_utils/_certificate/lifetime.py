# SPDX-License-Identifier: GPL-3.0-or-later
"""From when until when a certificate is valid, by the ``openssl`` of the host, where Python's own library is silent."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._certificate import openssl


@dataclass(frozen=True)
class Lifetime:
    """Both ends, in seconds since 1970."""

    begins: float
    ends: float

    def due(self, now: float) -> bool:
        """Whether a certificate that renews itself is to be renewed: when less than a third of its time is left."""
        return self.ends - now < (self.ends - self.begins) / 3


def of(pem: str) -> Lifetime | None:
    """The lifetime of the first certificate of a text in PEM format; None where there is none.

    Raises SlipwayError when there is no openssl that could say it.
    """
    first = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL)
    if not first:
        return None
    purpose = "tells until when a certificate is valid"
    return parsed(openssl.call("x509", "-noout", "-startdate", "-enddate", purpose=purpose, given=first[0]))


def parsed(told: str) -> Lifetime | None:
    """What ``openssl x509 -startdate -enddate`` wrote: ``notBefore=Nov  8 10:00:00 2026 GMT`` and ``notAfter``."""
    found = dict(line.partition("=")[::2] for line in told.splitlines())
    if not {"notBefore", "notAfter"} <= found.keys():
        return None
    return Lifetime(*(float(ssl.cert_time_to_seconds(found[name])) for name in ("notBefore", "notAfter")))
