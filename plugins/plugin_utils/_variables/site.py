# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with what an operator says of the site: its domains, and where its certificate comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_LONGEST = 253  # RFC 1035, section 2.3.4


def site_problems(values: Mapping[str, Any]) -> list[str]:
    """A sentence for each contradiction in the variables that are set."""
    domains, acme = list(values.get("app_domains") or []), dict(values.get("app_acme") or {})
    given = [name for name in ("app_certificate", "app_acme") if values.get(name)]
    if not given:
        return ["app_domains is set, but there is no certificate: set app_certificate or app_acme."] if domains else []
    found = [_domain_problem(str(domain), bool(acme)) for domain in domains]
    if len(given) > 1:
        found.append("app_certificate and app_acme are both set: leave one of them out.")
    if not domains:
        found.append(f"{given[0]} is set, but app_domains is not: name the domains of the site.")
    elif str(domains[0]).startswith("*."):
        found.append(
            f"app_domains begins with {domains[0]}: put a domain without * first, to which requests for no other go."
        )
    if values.get("app_certificate") and not values.get("app_certificate_key"):
        found.append("app_certificate is set, but app_certificate_key is not: give the key too, from the vault.")
    unknown = sorted(acme.keys() - {"email", "directory", "ca"})
    if unknown:
        found.append(f"app_acme has {', '.join(unknown)}, which it does not know: it takes email, directory and ca.")
    if acme and not acme.get("email"):
        found.append("app_acme has no email, which an ACME server may write to: set it.")
    if str(values.get("app_tls_port", 443)) == str(values.get("app_port", 8080)):
        found.append("app_tls_port and app_port are the same: the one is for TLS, the other redirects there.")
    if values.get("app_runtime") == "process":
        found.append(
            f"{given[0]} is set but app_runtime is process, before which there is no nginx: set app_runtime to "
            "container, or leave it out."
        )
    return [problem for problem in found if problem]


def _domain_problem(domain: str, by_http: bool) -> str:
    """What is wrong with one domain, which a certificate by ACME must prove by HTTP-01 where ``by_http``; else ''."""
    if len(domain) > _LONGEST or not _DOMAIN.fullmatch(domain):
        return (
            f"app_domains has {domain!r}, which is no domain: write it as shop.example.com, in lower-case letters, and "
            "others than a to z as xn--…."
        )
    if by_http and domain.startswith("*."):
        return (
            f"app_domains has {domain}, for which an ACME server gives no certificate by HTTP: name each domain, or "
            "set app_certificate in place of app_acme."
        )
    return ""
