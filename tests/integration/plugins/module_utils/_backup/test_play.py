# SPDX-License-Identifier: GPL-3.0-or-later
"""A script's statements and rows reach the server, and its failures the operator, by line and without values."""

from __future__ import annotations

import secrets
from collections import Counter

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.play import play
from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import Script
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from conftest import Postgres

LEFT = "the comment on schema public"


def run(postgres: Postgres, database: str, text: str) -> Counter[str]:
    opened = postgres.connect(database)
    try:
        with opened.cursor() as cursor:
            return play(Script(text.encode("latin-1").splitlines(keepends=True), "a.sql"), cursor, cursor, ["vector"])
    finally:
        opened.close()


def test_rows_and_encodings(postgres: Postgres) -> None:
    database = postgres.database()
    many = "".join(f"{number}\t\xfc\\\\{number}\n" for number in range(50_000))
    text = f"SET client_encoding = 'LATIN1';\nCREATE TABLE t (a int, b text);\nCOPY t FROM stdin;\n{many}\\.\n"
    assert run(postgres, database, text + "INSERT INTO t VALUES (-1, '\xe4;');GRANT ALL ON t TO x;") == {"rights": 1}
    query = "SELECT count(*), min(b) FILTER (WHERE a = 7), max(b) FILTER (WHERE a < 0) FROM t"
    assert postgres.execute(query, database) == [(50_001, "ü\\7", "ä;")]


def test_a_failure_names_the_line_and_no_value_but_what_the_message_has(postgres: Postgres) -> None:
    database = postgres.database()
    rows = "CREATE TABLE t (a int UNIQUE, secret text);\nCOPY t FROM stdin;\n1\tx\n1\ty\n\\.\n"
    with pytest.raises(SlipwayError) as raised:
        run(postgres, database, rows)
    assert str(raised.value) == (
        'a.sql can\'t be restored: duplicate key value violates unique constraint "t_a_key" (line 4, COPY t FROM '
        "stdin); correct the file, or what it needs on the server, and run again; nothing was changed."
    )


def test_extensions(postgres: Postgres) -> None:
    database = postgres.database()
    run(postgres, database, "CREATE SCHEMA e; CREATE EXTENSION plpgsql; CREATE EXTENSION vector WITH SCHEMA e;")
    query = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
    assert postgres.execute(query, database) == [("e",)]


@pytest.mark.parametrize(("schemas_owner", "left_out", "comment"), [("owner", {}, "ours"), ("admin", {LEFT: 1}, None)])
def test_the_comment_on_public_is_its_owners(
    postgres: Postgres, schemas_owner: str, left_out: dict[str, int], comment: str | None
) -> None:
    """Before version 15 the schema is the administrator's."""
    database, owner = postgres.database(), f"owner_{secrets.token_hex(4)}"
    postgres.execute(f"CREATE ROLE {owner}; COMMENT ON SCHEMA public IS NULL", database)
    if schemas_owner == "owner":
        postgres.execute(f"ALTER SCHEMA public OWNER TO {owner}", database)
    opened = postgres.connect(database)
    try:
        with opened.cursor() as cursor:
            cursor.execute(f"SET ROLE {owner}")
            assert play(Script([b"COMMENT ON SCHEMA public IS 'ours';\n"], "a.sql"), cursor, cursor, []) == left_out
    finally:
        opened.close()
    query = "SELECT obj_description('public'::regnamespace, 'pg_namespace')"
    assert postgres.execute(query, database) == [(comment,)]
