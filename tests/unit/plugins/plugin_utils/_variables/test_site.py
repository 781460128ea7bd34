# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.site import site_problems

FILES = {"app_certificate": "shop.pem", "app_certificate_key": "shop.key", "app_domains": ["shop.example.com"]}
ACME = {"app_acme": {"email": "ops@example.com"}, "app_domains": ["shop.example.com", "www.example.com"]}


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, []),
        (FILES, []),
        (ACME, []),
        ({**FILES, "app_domains": ["example.com", "*.example.com", "xn--bcher-kva.example", "localhost"]}, []),
        ({"app_domains": ["shop.example.com"]},
         ["app_domains is set, but there is no certificate: set app_certificate or app_acme."]),
        ({**FILES, **ACME}, ["app_certificate and app_acme are both set: leave one of them out."]),
        ({**FILES, "app_domains": []},
         ["app_certificate is set, but app_domains is not: name the domains of the site."]),
        ({"app_acme": ACME["app_acme"]}, ["app_acme is set, but app_domains is not: name the domains of the site."]),
        ({**FILES, "app_domains": ["*.example.com"]},
         ["app_domains begins with *.example.com: put a domain without * first, to which requests for no other go."]),
        ({**FILES, "app_certificate_key": ""},
         ["app_certificate is set, but app_certificate_key is not: give the key too, from the vault."]),
        *(({**FILES, "app_domains": [domain]},
           [f"app_domains has {domain!r}, which is no domain: write it as shop.example.com, in lower-case letters, and "
            "others than a to z as xn--…."])
          for domain in ("Shop.example.com", "bücher.example", "https://example.com", "a_b.example", "", "-a.example",
                         "a;}.example", f"{'a' * 64}.example", ".".join(["a" * 60] * 5))),
        ({**ACME, "app_domains": ["example.com", "*.example.com"]},
         ["app_domains has *.example.com, for which an ACME server gives no certificate by HTTP: name each domain, or "
          "set app_certificate in place of app_acme."]),
        ({**ACME, "app_acme": {"e-mail": "ops@example.com"}},
         ["app_acme has e-mail, which it does not know: it takes email, directory and ca.",
          "app_acme has no email, which an ACME server may write to: set it."]),
        ({**FILES, "app_port": 443}, ["app_tls_port and app_port are the same: the one is for TLS, the other redirects "
                                      "there."]),
        ({**FILES, "app_runtime": "process"},
         ["app_certificate is set but app_runtime is process, before which there is no nginx: set app_runtime to "
          "container, or leave it out."]),
    ],
)  # fmt: skip
def test_what_contradicts_itself(given: dict[str, Any], problems: list[str]) -> None:
    assert site_problems(given) == problems
