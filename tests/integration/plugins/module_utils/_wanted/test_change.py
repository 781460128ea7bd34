# SPDX-License-Identifier: GPL-3.0-or-later
"""What is derived leads to the wanted schema and back, and the same wish in each source leads to the same schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, working
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.change import Change, load, prove
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Schema, read
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.sources import Source
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import parse
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted import models_to_sql
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor
from support.wanted_changes import MODELS, SQL, WISHES, Wish, edited


class Bench:
    """Databases with the base schema, made anew for each use."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.base = postgres.database()
        postgres.execute(SQL, self.base)

    def server(self, database: str) -> Server:
        return Server("postgres", database, self.postgres.password, socket_dir=str(self.postgres.socket_dir))

    @contextmanager
    def database(self, sql: str = "", template: str = "") -> Iterator[tuple[Server, Cursor]]:
        name = f"{self.base}_copy"
        self.postgres.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template or self.base}")
        for part in filter(None, sql.split("COMMIT;")):
            self.postgres.execute(part, name)
        with working(self.server(name), "public") as cursor:
            yield self.server(name), cursor

    def made(self, sql: str) -> Schema:
        with self.database(sql) as (_, cursor):
            return read(cursor)

    def described(self, sql: str) -> Schema:
        """What a source's SQL makes in an empty database."""
        with self.database(template="template0") as (server, cursor):
            load(server, "public", parse(sql.encode(), "schema.sql"))
            return read(cursor)

    def change(self, source: Source, wish: Schema) -> tuple[Change, Schema]:
        """What is derived from the base, and what the base has become by it."""
        with self.database() as (_, cursor):
            found = prove(cursor, source, wish)
            return found, read(cursor)


@pytest.fixture(scope="module")
def bench(postgres: Postgres) -> Bench:
    return Bench(postgres)


def of_models(text: str, home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The SQL of models, made in this process."""
    (home / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(home)
    models_to_sql.main(f"{name}:metadata", str(home / "out.json"))
    return ";\n".join(json.loads((home / "out.json").read_text())["statements"])


def differing(one: Schema, other: Schema) -> list[tuple[tuple[str, str], str | None, str | None]]:
    return [(key, one.texts.get(key), other.texts.get(key)) for key in one.differs(other)]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.name)
def test_a_wish_in_sql_and_in_models(bench: Bench, wish: Wish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = bench.made(wish.sql)
    found, after = bench.change(Source("sql"), wanted)
    assert differing(after, wanted) == []
    assert (found.left, found.no_down) == ((), "")
    assert found.up
    assert found.down
    assert wish.remark in " ".join(found.remarks)
    assert bool(wish.remark) or found.remarks == () or "fails where" in found.remarks[0], found.remarks

    if wish.models:
        name = f"wish_{WISHES.index(wish)}"
        described = bench.described(of_models(edited(MODELS, wish.models), tmp_path, name, monkeypatch))
        by_models, then = bench.change(Source("sqlalchemy"), described)
        assert differing(then, wanted) == []
        assert (by_models.left, by_models.no_down) == ((), "")


def test_nothing_is_derived_where_nothing_differs(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.change(Source("sql"), bench.made(""))[0] == Change()
    described = bench.described(of_models(MODELS, tmp_path, "wish_none", monkeypatch))
    assert bench.change(Source("sqlalchemy"), described)[0] == Change()


def test_a_wanted_schema_that_fails_is_told_with_its_place(bench: Bench) -> None:
    with pytest.raises(SlipwayError) as caught:
        bench.described("CREATE TABLE a (id int);\nCREATE TABLE b (a int REFERENCES c);\n")
    assert str(caught.value) == (
        'The wanted schema can\'t be made: schema.sql:2:1: relation "c" does not exist.\n'
        "2 | CREATE TABLE b (a int REFERENCES c);\n  | ^"
    )
    with pytest.raises(SlipwayError, match=r"^The wanted schema writes a file on the server .*, which is no part of"):
        bench.described("COPY (SELECT 1) TO '/nowhere'")


def test_statements_need_not_be_in_order(bench: Bench) -> None:
    in_order = bench.described("CREATE TABLE c (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES c)")
    assert bench.described("CREATE TABLE b (a int REFERENCES c); CREATE TABLE c (id int PRIMARY KEY)") == in_order


def test_what_can_not_be_derived_is_told_and_left(bench: Bench) -> None:
    wanted = bench.made("CREATE PUBLICATION p FOR TABLE users; ALTER TABLE users ADD nick text")
    found, after = bench.change(Source("sql"), wanted)
    assert [each[:61] for each in found.left] == ["The publication p is wanted and can't be derived: {\"pubdelete"]
    assert found.up == ("ALTER TABLE public.users ADD COLUMN nick text",)
    assert ("column", "public.users.nick") in after.texts


def test_what_a_source_can_not_say_stands_in_the_way(bench: Bench) -> None:
    described = bench.described("CREATE TABLE teams (id serial PRIMARY KEY, name text NOT NULL)")
    with pytest.raises(SlipwayError) as caught:
        bench.change(Source("sqlalchemy"), described)
    assert "PostgreSQL refuses what was derived: cannot drop" in str(caught.value)
    assert "view members" in str(caught.value)
