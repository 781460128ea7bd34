# SPDX-License-Identifier: GPL-3.0-or-later
"""What real Prisma makes of its schema leads to the same database as the same wish in SQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.change import Change
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.sources import Source
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted import wanted
from conftest import Postgres
from integration.plugins.module_utils._wanted.test_change import Bench, differing
from integration.prisma.test_interoperability import Both
from support.wanted_changes import PRISMA, WISHES, Wish, edited

pytestmark = pytest.mark.once


class PrismaBench(Bench):
    def __init__(self, postgres: Postgres, prisma: Path) -> None:
        super().__init__(postgres)
        self.prisma = prisma
        both = Both(postgres, postgres.database(), prisma, prisma_directory=prisma)
        self.environment: dict[str, str] = both.command["env"]

    def sql(self, text: str) -> str:
        """What the project's own Prisma makes of a schema."""
        (self.prisma / "wanted.prisma").write_text(text)
        return wanted.read({"prisma": "wanted.prisma"}, str(self.prisma), self.environment).script.text


@pytest.fixture(scope="module")
def bench(postgres: Postgres, prisma_directory: Path) -> PrismaBench:
    return PrismaBench(postgres, prisma_directory)


def test_nothing_is_derived_where_nothing_differs(bench: PrismaBench) -> None:
    assert bench.change(Source("prisma"), bench.described(bench.sql(PRISMA)))[0] == Change()


@pytest.mark.parametrize("wish", [wish for wish in WISHES if wish.prisma], ids=lambda wish: wish.name)
def test_a_wish_in_prismas_language(bench: PrismaBench, wish: Wish) -> None:
    found, after = bench.change(Source("prisma"), bench.described(bench.sql(edited(PRISMA, wish.prisma))))
    assert differing(after, bench.made(wish.sql)) == []
    assert (found.left, found.no_down) == ((), "")


def test_an_error_is_shown_in_prismas_own_words(bench: PrismaBench) -> None:
    with pytest.raises(SlipwayError) as caught:
        bench.sql(PRISMA.replace("name  String", "name  Strin"))
    assert 'Type "Strin" is neither a built-in type, nor refers to another model' in str(caught.value)
