# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules become statements, and what does not fit is refused as a whole."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.masking import Column, Rules, expression, plan
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

EMAIL = Column("email", "character varying(8)", True, True, 8)
BIO = Column("Bio", "text", True, True)
DATA = Column("data", "jsonb", True)
LOWER = Column("lower_email", "text", True, True, computed=True)
NUMBER = Column("age", "integer")
TABLES = {
    ("public", "users"): [EMAIL, BIO, DATA, LOWER, NUMBER],
    ("audit", "log"): [Column("line", "text", True, True)],
    ("a", "twice"): [NUMBER],
    ("b", "twice"): [NUMBER],
}
MISFITS = {"emial": "hash", "age": "hash", "data": "fixed", "lower_email": None, "Bio": 7}
WHOLE: Rules = {"users": {"email": "'u' || id", "Bio": None, "data": "keep"}}


@pytest.mark.parametrize(
    ("column", "rule", "sql"),
    [
        (BIO, None, "NULL"),
        (BIO, "null", "NULL"),
        (BIO, "hash", "encode(sha256(convert_to('s''alt' || \"Bio\"::text, 'UTF8')), 'hex')"),
        (EMAIL, "hash", "left(encode(sha256(convert_to('s''alt' || \"email\"::text, 'UTF8')), 'hex'), 8)"),
        (BIO, "fixed", "CASE WHEN \"Bio\" IS NOT NULL THEN 'masked' END"),
        (Column("c", "character(3)", True, True, 3), "fixed", "CASE WHEN \"c\" IS NOT NULL THEN 'mas' END"),
        (NUMBER, "age % 10", "(age % 10)"),
    ],
)
def test_expressions(column: Column, rule: str | None, sql: str) -> None:
    assert expression(column, rule, "s'alt") == sql


def test_a_plan() -> None:
    [update] = plan(WHOLE, TABLES, "")
    assert update.statement == 'UPDATE "public"."users" SET "email" = (\'u\' || id), "Bio" = NULL'
    assert update.kept == ["data"]


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        (
            {"users": {"email": "hash"}, "audit.log": {}},
            "app_masking has no rule for 3 columns that may hold text, and nothing was changed: users.Bio, users.data, "
            "log.line; give each one, `keep` where it may be seen outside of production.",
        ),
        (
            {"user": {}},
            "app_masking names table 'user', which the backup does not have as one, and nothing was changed: did you "
            "mean users?",
        ),
        (
            {"twice": {}},
            "app_masking names table 'twice', which the backup does not have as one, and nothing was changed: it is in "
            "a; b: name the schema too",
        ),
        (
            {"users": {**WHOLE["users"], **MISFITS}},
            "app_masking does not fit the backup, and nothing was changed: users.Bio: 7 is no rule: keep, null, hash, "
            "fixed, or an expression of SQL; users.data: fixed makes a text, but it is of type jsonb: give an "
            "expression of SQL; users has no column emial (email?); users.age: hash makes a text, but it is of type "
            "integer: give an expression of SQL; users.lower_email is computed from other columns, which are masked "
            "themselves; correct it "
            "and run again.",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit(rules: Rules, error: str) -> None:
    with pytest.raises(SlipwayError) as raised:
        plan(rules, TABLES, "")
    assert str(raised.value) == error
