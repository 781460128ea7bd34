# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables, rows and rights as the owner, the application and an administrator see them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Postgres
from support.access import PASSWORD, Site, make_site


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    return make_site(postgres, tmp_path)


def test_rows_that_are_hidden_from_the_owner(site: Site) -> None:
    site.access()
    owner = {"login_user": site.roles.owner, "login_password": PASSWORD}
    site.execute_as(
        site.roles.owner,
        """
        CREATE TABLE invoice (tenant int); ALTER TABLE invoice ENABLE ROW LEVEL SECURITY;
        ALTER TABLE invoice FORCE ROW LEVEL SECURITY; CREATE POLICY p ON invoice USING (tenant = 7);
        """,
    )
    assert (found := site.info(**owner)["schema"])["empty"]
    assert (found["rows"], found["uncounted"]) == (0, [])
    site.execute("INSERT INTO invoice VALUES (8)")
    alone = site.info(**owner)["schema"]
    assert (alone["empty"], alone["rows"], alone["tables"][0]["rows"], alone["violations"]) == (False, 0, None, [])
    hides = "Table public.invoice can't be counted, because row-level security hides rows of it from role {}."
    assert alone["uncounted"] == [hides.format(site.roles.owner)]
    for other, told in (
        ({"login_user": site.postgres.user, "login_password": site.postgres.password}, []),
        (
            {"login_user": site.roles.application, "login_password": PASSWORD},
            [hides.format(site.roles.application)],
        ),
    ):
        found = site.info(**owner, count_login=other)["schema"]
        assert (found["rows"], found["empty"], found["uncounted"]) == (0 if told else 1, False, told)


def test_whether_the_application_is_let_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.access()
    owner = {"login_user": site.roles.owner, "login_password": PASSWORD}
    monkeypatch.setenv("PGSERVICE", "nowhere")
    assert site.info(**owner, application_password=PASSWORD)["schema"]["violations"] == []
    [violation] = site.info(**owner, application_password="of-somebody-else")["schema"]["violations"]
    assert violation.startswith("Can't connect to database ")
    assert f"as role {site.roles.application!r}: " in violation
