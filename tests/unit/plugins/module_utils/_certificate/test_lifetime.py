# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._certificate import lifetime
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.lifetime import Lifetime
from support.certificates import NOW, made

DAY = 86_400


def test_by_openssl() -> None:
    first, second = made("a.example", begins=-2, ends=30), made("b.example", ends=5)
    found = lifetime.of(first.key + first.certificate + second.certificate)
    assert found == Lifetime(NOW.timestamp() - 2 * DAY, NOW.timestamp() + 30 * DAY)


def test_of_what_is_no_certificate() -> None:
    assert lifetime.of("") is None
    assert lifetime.of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") is None


@pytest.mark.parametrize(("now", "due"), [(0, False), (59, False), (61, True), (100, True)])
def test_a_renewal_is_due_in_the_last_third(now: float, due: bool) -> None:
    assert Lifetime(0, 90).due(now) is due
