# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain dump is split as psql splits it, and nothing in it reaches a program."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import Script
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

RULE = "CREATE RULE r AS ON DELETE TO t DO ALSO (SELECT 1; SELECT 2)"
FUNCTION = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END"


def split(text: str) -> list[str]:
    return [statement.text.decode() for statement in Script(text.encode().splitlines(keepends=True), "a.sql")]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2;\nSELECT\n3;", ["SELECT 1", "SELECT 2", "SELECT\n3"]),
        ("\ufeffSELECT 1;\r\n", ["SELECT 1"]),
        ("-- a;b\n/* c; /* d; */ */ SELECT 1;", ["SELECT 1"]),
        ("SELECT ';' || 'it''s;', \";\";", ["SELECT ';' || 'it''s;', \";\""]),
        (r"SELECT E'\';', E'a''\'b;', 'c\';", [r"SELECT E'\';', E'a''\'b;', 'c\'"]),
        (
            r"SET standard_conforming_strings = off; SELECT 'a\';';",
            ["SET standard_conforming_strings = off", r"SELECT 'a\';'"],
        ),
        ("SELECT $$;$$, $a$;$$;$a$, a$b$c;", ["SELECT $$;$$, $a$;$$;$a$, a$b$c"]),
        ("SELECT 'two\nlines;\n';", ["SELECT 'two\nlines;\n'"]),
        (f"{RULE};", [RULE]),
        (f"{FUNCTION}; BEGIN; COMMIT;", [FUNCTION, "BEGIN", "COMMIT"]),
        ("COPY t (a) FROM stdin;\n1;\n\\! touch x\n'\n\\.\nSELECT 1;", ["COPY t (a) FROM stdin", "SELECT 1"]),
        ("COPY t FROM stdin;\r\n1\r\n\\.\r\nSELECT 1;", ["COPY t FROM stdin", "SELECT 1"]),
        ("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", ["SELECT 1"]),
        ("CREATE DATABASE x;\n\\connect x\n\\connect x\nSELECT 1;", ["CREATE DATABASE x", "SELECT 1"]),
        ("SELECT '\\! no command';\n-- \\! nor this\n/* \\! */;", ["SELECT '\\! no command'"]),
    ],
)  # fmt: skip
def test_statements(text: str, statements: list[str]) -> None:
    assert split(text) == statements


def test_the_line_of_a_statement_and_the_rows_of_a_copy() -> None:
    script = Script([b"-- head\n", b"\n", b"COPY t FROM stdin;\n", b"1\n", b"2\n", b"\\.\n", b"SELECT 1;\n"], "a.sql")
    found = []
    for statement in script:
        found.append((statement.line, statement.rows.read() if statement.rows else None))
    assert found == [(3, b"1\n2\n"), (7, None)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SELECT 1;\n\\! touch /tmp/x\n", "a.sql has the command '\\\\!' for psql in line 2,"),
        ("\\i other.sql\n", "'\\\\i' for psql in line 1"),
        ("SELECT 1 \\g |sh\n;", "'\\\\g' for psql in line 1"),
        ("SELECT 1; \\o |sh\n", "'\\\\o' for psql in line 1"),
        ("\\connect a\n\\connect b\n", "'\\\\connect' for psql in line 2"),
        ("COPY t FROM stdin;\n1\n\\.\n\\copy t from 'x'\n", "'\\\\copy' for psql in line 4"),
        ("SELECT 1;\nSELECT 'abc", "it ends in the statement of line 2 (line 2)"),
        ("SELECT 1;\nSELECT 2", "it ends in the statement of line 2 (line 2)"),
        ("COPY t FROM stdin;\n1\n2", "it ends in the rows of a table (line 3)"),
        ("--\n-- PostgreSQL database dump\n--\nSELECT 1;\n", "it ends before pg_dump's last line (line 4)"),
        ("--\n-- PostgreSQL database cluster dump\n--\n", "a.sql is of a whole cluster, as pg_dumpall writes it"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(SlipwayError) as raised:
        split(text)
    assert error in str(raised.value)
    assert "nothing was changed" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('ALTER TABLE public.t OWNER TO "some one"', "owners"),
        ("ALTER FUNCTION f(a text) OWNER TO joe", "owners"),
        ("SET SESSION AUTHORIZATION 'joe'", "owners"),
        ("ALTER TABLE t ALTER COLUMN a SET DEFAULT 1", ""),
        ("GRANT ALL ON TABLE t TO joe", "rights"),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE joe GRANT ALL ON TABLES TO jim", "rights"),
        ("ALTER DATABASE x OWNER TO joe", "properties of the database"),
        ("ALTER ROLE joe IN DATABASE x SET a TO 'b'", "properties of the database"),
        ("COMMENT ON DATABASE x IS 'y'", "properties of the database"),
        ("CREATE SCHEMA public", "the schema public"),
        ("CREATE SCHEMA publication", ""),
        ("COMMENT ON SCHEMA public IS 'x'", ""),
        ("COMMENT ON EXTENSION vector IS 'x'", "comments on extensions"),
        ("CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p", "subscriptions"),
        ("CREATE TABLE grants (a int)", ""),
    ],
)
def test_what_is_left_out(text: str, what: str) -> None:
    [statement] = Script([text.encode() + b";\n"], "a.sql")
    assert statement.left_out == what


@pytest.mark.parametrize(
    ("text", "extension"),
    [
        ("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;", ("vector", "public")),
        ('CREATE EXTENSION "uuid-ossp";', ("uuid-ossp", "")),
        ("CREATE EXTENSION Hstore SCHEMA \"My S\";", ("hstore", "My S")),
        ("CREATE TABLE extension ();", None),
    ],
)  # fmt: skip
def test_extensions(text: str, extension: tuple[str, str] | None) -> None:
    [statement] = Script([text.encode()], "a.sql")
    assert statement.extension == extension
