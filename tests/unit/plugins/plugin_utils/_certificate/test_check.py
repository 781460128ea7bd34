# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._certificate.check import check, covers
from support.certificates import NOW, made

SHOP = ["shop.example.com", "www.shop.example.com"]
GOOD, OTHER = made(*SHOP), made("other.example.com")
PAST, FUTURE = made(*SHOP, begins=-9, ends=-2), made(*SHOP, begins=2)
NAMELESS = made()
LOCKED = made(*SHOP, passphrase=b"secret")
CALLED = "The certificate of shop.example.com, www.shop.example.com"


def day(days: float) -> str:
    return f"{NOW + datetime.timedelta(days=days):%Y-%m-%d}"


@pytest.mark.parametrize(
    ("certificate", "key", "domains", "problem"),
    [
        (GOOD.certificate, GOOD.key, SHOP, ""),
        (GOOD.certificate + OTHER.certificate, GOOD.key, SHOP[:1], ""),
        (OTHER.certificate + GOOD.certificate, GOOD.key, SHOP,
         "The certificate of other.example.com and the key do not belong together: give the key that it was requested "
         "with and, where the file holds several certificates, the site's own as the first."),
        (GOOD.certificate, GOOD.key, [*SHOP, "api.example.com"],
         f"{CALLED} does not name api.example.com: get one that does, or correct the domains."),
        (NAMELESS.certificate, NAMELESS.key, ["shop"],
         "The certificate of CN=shop does not name shop: get one that does, or correct the domains."),
        (PAST.certificate, PAST.key, SHOP, f"{CALLED} expired on {day(-2)}: get a new one."),
        (FUTURE.certificate, FUTURE.key, SHOP,
         f"{CALLED} is valid from {NOW + datetime.timedelta(days=2):%Y-%m-%d %H:%M} UTC on: wait until then, or set "
         "this machine's clock."),
        ("no certificate", GOOD.key, SHOP,
         "The certificate can't be read: give it in PEM format, from -----BEGIN CERTIFICATE----- on, with those "
         "that it is signed by after it."),
        (GOOD.certificate, "no key", SHOP,
         "The certificate's key can't be read: give it in PEM format, from -----BEGIN PRIVATE KEY----- on."),
        (LOCKED.certificate, LOCKED.key, SHOP,
         "The certificate's key has a passphrase, which nobody types when nginx starts: take it off with openssl pkey, "
         "and encrypt the file with ansible-vault instead."),
    ],
)  # fmt: skip
def test_a_pair_serves_the_domains_now(certificate: str, key: str, domains: list[str], problem: str) -> None:
    if problem:
        with pytest.raises(SlipwayError) as caught:
            check(certificate, key, domains, NOW)
        assert str(caught.value) == problem
    else:
        pair = check(certificate, key, domains, NOW)
        assert pair.content.startswith("-----BEGIN PRIVATE KEY-----\n")
        assert pair.content.count("-----BEGIN CERTIFICATE-----\n") == certificate.count("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("name", "domain", "covered"),
    [
        ("shop.example.com", "shop.example.com", True),
        ("*.example.com", "shop.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "www.shop.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.shop.example.com", "*.example.com", False),
        ("shop.example.com", "*.example.com", False),
    ],
)
def test_a_name_covers_a_domain(name: str, domain: str, covered: bool) -> None:
    assert covers(name, domain) is covered


@pytest.mark.parametrize(("ends", "warned"), [(14.1, ""), (13.5, "13 days"), (1.5, "1 day"), (0.5, "0 days")])
def test_one_that_ends_soon_is_warned_of(ends: float, warned: str) -> None:
    soon = made(*SHOP, ends=ends)
    warning = check(soon.certificate, soon.key, SHOP, NOW).warning(NOW)
    end = f"The certificate of shop.example.com expires in {warned}, on {day(ends)}: get a new one."
    assert warning == (end if warned else "")
