# SPDX-License-Identifier: GPL-3.0-or-later
"""psql's command line and environment, and what is printed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.plugin_utils._session import psql
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import READ_ONLY, Session

SESSION = Session("shop-prod", READ_ONLY, Server("shop_readonly", "shop", "geheim", socket_dir="/run/pg"))


def test_the_prompt_says_where_one_is() -> None:
    assert psql.arguments(SESSION)[0] == "--set=PROMPT1=shop-prod read-only %/%R%x%# "


def test_a_statement_is_run_without_what_the_user_is_used_to() -> None:
    one = dataclasses.replace(SESSION, options={"sql": "SELECT 1"})
    assert psql.arguments(one) == ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "-c", "SELECT 1"]


def test_the_callers_own_connection_does_not_count() -> None:
    told = psql.environment(SESSION.settings(), {"PGHOST": "x", "PGSSLMODE": "x", "PAGER": "less", "PGHOSTADDR": "x"})
    assert told == {
        "PAGER": "less", "PGHOST": "/run/pg", "PGPORT": "5432", "PGUSER": "shop_readonly", "PGPASSWORD": "geheim",
        "PGDATABASE": "shop", "PGSSLMODE": "prefer", "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "slipway read-only",
        "PGOPTIONS": "-c default_transaction_read_only=on",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("session", "line"),
    [
        (SESSION, "shop-prod, read-only: psql 'host=/run/pg port=5432 user=shop_readonly dbname=shop'"),
        (
            Session("s-test", "owner", Server("o", "s", "geheim", host="db", ssl_mode="require"), "web", ("ssh",)),
            "s-test, owner on host web: psql 'host=db port=5432 user=o dbname=s sslmode=require'",
        ),
    ],
)
def test_what_is_shown_has_no_password(session: Session, line: str) -> None:
    assert psql.shown(session) == line


def test_which_psql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wheel = psql.find_psql(str(tmp_path), encrypted=False)
    assert wheel.endswith("/pginstall18/bin/psql")
    (tmp_path / "psql").touch(0o755)
    assert psql.find_psql(str(tmp_path), encrypted=False) == psql.find_psql("", encrypted=True) == f"{tmp_path}/psql"
    (tmp_path / "psql").unlink()
    with pytest.raises(SlipwayError, match=r"^There is no psql on this machine's PATH: install PostgreSQL's client"):
        psql.find_psql("", encrypted=True)


def test_without_a_terminal_it_only_says_how_to_connect(capsys: pytest.CaptureFixture[str]) -> None:
    assert psql.run(SESSION) == 0
    assert capsys.readouterr().out == psql.shown(SESSION) + "\n"
