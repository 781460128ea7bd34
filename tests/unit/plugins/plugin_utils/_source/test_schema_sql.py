# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of a dump is the schema, and nothing that changes from one dump to the next."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.schema_sql import HEADING, tidied

DUMP = r"""--
-- PostgreSQL database dump
--

\restrict Qk3zUe

-- Dumped from database version 18.4

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: pg_trgm; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;


--
-- Name: EXTENSION pg_trgm; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON EXTENSION pg_trgm IS 'text similarity';

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE plpgsql
    AS $$
-- a comment of the function's own; SET x = 1;
BEGIN
  RETURN 1;
END $$;

COMMENT ON FUNCTION public.f() IS 'größer; -- no comment';

\unrestrict Qk3zUe
"""
KEPT = """
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE plpgsql
    AS $$
-- a comment of the function's own; SET x = 1;
BEGIN
  RETURN 1;
END $$;

COMMENT ON FUNCTION public.f() IS 'größer; -- no comment';
"""


def test_a_dump() -> None:
    assert tidied(DUMP) == HEADING + KEPT
    assert tidied(HEADING + KEPT) == HEADING + KEPT


def test_an_empty_schema() -> None:
    assert tidied("-- nothing\nSET x = 1;\n") == HEADING


def test_what_is_no_sql() -> None:
    with pytest.raises(SlipwayError, match="The schema that pg_dump wrote can't be read: syntax error"):
        tidied("CREATE NONSENSE;")
