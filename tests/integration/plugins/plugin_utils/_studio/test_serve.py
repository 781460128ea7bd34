# SPDX-License-Identifier: GPL-3.0-or-later
"""The studio's pages on a database that has of everything something odd."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import Session
from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.serve import connect, listen, make_app, run, serve
from conftest import Postgres
from sqlalchemy import Engine
from starlette.testclient import TestClient

pytestmark = pytest.mark.once

ODD = r"""
    CREATE TYPE mood AS ENUM ('so so', 'good');
    CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
    CREATE SCHEMA "Own Schema";
    CREATE SCHEMA slipway; CREATE TABLE slipway.hidden (id int PRIMARY KEY);
    CREATE TABLE _prisma_migrations (id text PRIMARY KEY, migration_name text);
    CREATE TABLE keyless (note text, at timestamptz DEFAULT '2026-01-02 03:04:05.678901+00');
    INSERT INTO keyless VALUES ('same'), ('same'), (NULL);
    CREATE TABLE nothing ();
    CREATE TABLE "Order ""Lines"" (1)" (
        "Order Id" int, "search" text, "page" int, "a.b" text, "50%" percent, metadata jsonb, query text[], "data" mood,
        PRIMARY KEY ("Order Id", "search"));
    INSERT INTO "Order ""Lines"" (1)" VALUES
        (1, 'a,b;c/d?e#f%25 \ ü', 3, 'dotted', 50, '{"deep": [1, {"x": null}]}', '{one,"two, three"}', 'so so'),
        (2, '', NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE "Own Schema".child (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), order_id int, key text, picture bytea, big text, span int4range,
        address inet, took interval, doubled int GENERATED ALWAYS AS (order_id * 2) STORED, code text UNIQUE,
        FOREIGN KEY (order_id, key) REFERENCES "Order ""Lines"" (1)");
    INSERT INTO "Own Schema".child (order_id, key, picture, big, span, address, took, code)
        SELECT "Order Id", "search", '\x00ff'::bytea, repeat('long ', 50000), '[1,5)', '192.0.2.1', '1 day 02:03:04',
               'c1' FROM "Order ""Lines"" (1)" WHERE "Order Id" = 1;
    CREATE TABLE by_code (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL DEFAULT 'none',
        code text REFERENCES "Own Schema".child (code), at timestamptz DEFAULT '2026-01-02 03:04:05.678901+00');
    INSERT INTO by_code (code) VALUES ('c1');
    INSERT INTO by_code (note) SELECT 'row ' || n FROM generate_series(1, 1199) n;
    CREATE TABLE parted (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
    INSERT INTO parted VALUES (1, 'eu');
    CREATE VIEW seen AS SELECT note, count(*) FROM keyless GROUP BY note;
    CREATE MATERIALIZED VIEW kept AS SELECT note FROM keyless;
    CREATE ROLE reader LOGIN PASSWORD 'reader'; CREATE ROLE writer LOGIN PASSWORD 'writer';
    GRANT USAGE ON SCHEMA "Own Schema" TO reader, writer;
    GRANT SELECT ON ALL TABLES IN SCHEMA public, "Own Schema" TO reader, writer;
    GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, "Own Schema" TO writer;
    REVOKE SELECT ON parted FROM reader;
"""
LINES = "order__lines___1_"


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[str]:
    name = postgres.database()
    postgres.execute(ODD, name)
    yield name
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
    postgres.execute("DROP ROLE reader; DROP ROLE writer")


@contextlib.contextmanager
def studio(server: Postgres, database: str, role: str, write: bool, options: str = "") -> Iterator[TestClient]:
    settings = {
        "host": str(server.socket_dir), "port": str(server.port), "user": role, "password": role, "dbname": database,
        "options": options,
    }  # fmt: skip
    engine: Engine = connect(settings)
    with TestClient(make_app(engine, "shop-test", role, write, "12:00"), raise_server_exceptions=True) as client:
        yield client
    engine.dispose()


@pytest.fixture(scope="module")
def reader(postgres: Postgres, database: str) -> Iterator[TestClient]:
    with studio(postgres, database, "reader", False, "-c default_transaction_read_only=on") as client:
        yield client


@pytest.fixture(scope="module")
def writer(postgres: Postgres, database: str) -> Iterator[TestClient]:
    with studio(postgres, database, "writer", True) as client:
        yield client


def get(client: TestClient, path: str, status: int = 200, **query: Any) -> str:
    answer = client.get(path, params=query or None)
    assert answer.status_code == status, answer.text
    return answer.text


def links(page: str, words: str) -> list[str]:
    """The addresses of the links whose text or label holds words."""
    found = re.findall(r'<a [^>]*href="([^"]*)"([^>]*)>(.*?)</a>', page, re.DOTALL)
    return [address.replace("&amp;", "&") for address, more, text in found if words in more + text]


def rows(page: str) -> int:
    return page.partition("<tbody>")[2].partition("</tbody>")[0].count("<tr>")


def test_every_table_has_its_place_and_what_is_not_the_applications_none(reader: TestClient) -> None:
    page = get(reader, "/")
    menu = page.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r'/([^/"]+)/list"', menu) == [
        LINES, "_prisma_migrations", "by_code", "kept", "keyless", "parted", "seen", "own_schema_child",
    ]  # fmt: skip
    assert "Order &#34;Lines&#34; (1)" in page
    assert "table, no primary key" in page


@pytest.mark.parametrize(
    ("table", "count"),
    [(LINES, 2), ("by_code", 25), ("kept", 3), ("keyless", 3), ("seen", 2), ("own_schema_child", 1)],
)
def test_every_table_shows_its_rows_sorted_and_searched(reader: TestClient, table: str, count: int) -> None:
    page = get(reader, f"/{table}/list")
    assert rows(page) == count
    for address in dict.fromkeys(links(page.partition("<thead>")[2].partition("</thead>")[0], "")):
        for order in ("asc", "desc"):
            assert rows(get(reader, address.replace("sort=asc", f"sort={order}"))) == count
    assert rows(get(reader, f"/{table}/list", search="nowhere to be found")) == 0
    for address in links(page, "Open row"):
        get(reader, address)


def test_a_row_opens_whatever_its_key_is(reader: TestClient) -> None:
    page = get(reader, f"/{LINES}/list")
    [first, second] = links(page, "Open row")
    row = get(reader, first)
    for shown in ("a,b;c/d?e#f%25 \\ ü", "dotted", "&#34;deep&#34;: [", "two, three", "so so", ">50<"):
        assert shown in row, shown
    assert '<span class="null">NULL</span>' in get(reader, second)
    child = links(get(reader, "/own_schema_child/list"), "Open row")[0]
    row = get(reader, child)
    for shown in ("\\x00ff", "[1,5)", "192.0.2.1", "1 day, 2:03:04", "(250,000 characters)", ">2<"):
        assert shown in row, shown


def test_rows_without_a_key_are_told_apart_by_their_place(reader: TestClient) -> None:
    page = get(reader, "/keyless/list")
    opened = [get(reader, address) for address in links(page, "Open row")]
    assert len(opened) == 3
    assert len(set(links(page, "Open row"))) == 3
    assert [bool(re.search(r"same", row.partition("<tbody>")[2])) for row in opened].count(True) == 2
    assert links(get(reader, "/seen/list"), "Open row") == []  # a view's rows have no place
    get(reader, "/seen/details/1", 403)


def test_relations_lead_there_and_back(reader: TestClient) -> None:
    child = get(reader, links(get(reader, "/own_schema_child/list"), "Open row")[0])
    [there, again] = [address for address in links(child, "") if f"/{LINES}/details/" in address]
    assert there == again  # of both columns
    line = get(reader, there)
    assert "dotted" in line
    [back] = links(line, "Own Schema.child (order_id, key)")
    assert rows(get(reader, back)) == 1
    [by_code] = links(child, "by_code (code)")
    page = get(reader, by_code)
    assert rows(page) == 1
    [to_unique] = [
        address for address in links(page.partition("<tbody>")[2], "") if "/own_schema_child/list?" in address
    ]
    assert rows(get(reader, to_unique)) == 1


def test_filters_and_pages(reader: TestClient) -> None:
    many = {"where.id": "1000", "where.id_op": "greater_than", "pageSize": "100"}
    page = get(reader, "/by_code/list", **many)
    assert "1 to 100 of 200 rows" in page
    seen = [
        address for number in (1, 2) for address in links(get(reader, "/by_code/list", page=number, **many), "Open")
    ]
    assert len(set(seen)) == 200
    assert rows(get(reader, "/by_code/list", pageSize=1000)) == 1000
    assert rows(get(reader, f"/{LINES}/list", **{"where.data": "so so"})) == 1
    assert rows(get(reader, f"/{LINES}/list", **{"where.page": "3", "where.page_op": "equals", "search": "DOT"})) == 1
    assert rows(get(reader, "/by_code/list", search="row 1_")) == rows(get(reader, "/by_code/list", search="%")) == 0


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/by_code/details/abc", 400, "The database says: invalid input syntax for type bigint"),
        ("/by_code/details/1;2", 404, "404"),
        ("/by_code/details/99999", 404, "404"),
        ("/by_code/list?where.id=x&where.id_op=equals", 400, "invalid input syntax"),
        ("/by_code/list?sortBy=nothing", 400, "Rows can&#39;t be sorted by nothing."),
        ("/nowhere/list", 404, "404"),
        ("/parted/list", 400, "The database says: permission denied for table parted"),
        ("/by_code/create", 403, "403"),
        ("/by_code/edit/1", 403, "403"),
        ("/by_code/export/csv", 403, "403"),
    ],
)
def test_what_can_not_be_shown_is_a_page_too(reader: TestClient, path: str, status: int, text: str) -> None:
    assert text in get(reader, path, status)


# Writing


def test_the_database_itself_refuses_who_only_reads(postgres: Postgres, database: str) -> None:
    for options, says in (
        ("-c default_transaction_read_only=on", "cannot execute INSERT in a read-only transaction"),
        ("", "permission denied for table by_code"),
    ):
        with studio(postgres, database, "reader", True, options) as client:  # with all its forms and buttons
            answer = client.post("/by_code/create", data={"note": "never", "save": "Save"})
            assert (answer.status_code, says in answer.text) == (400, True), answer.text
            told = client.delete("/by_code/delete", params={"pks": "1"}).text  # where the browser goes on
            assert says.replace("INSERT", "DELETE") in get(client, told)
    assert postgres.execute("SELECT count(*) FROM by_code WHERE note = 'never' OR id = 1", database) == [(1,)]


def test_rows_are_made_changed_and_deleted(postgres: Postgres, database: str, writer: TestClient) -> None:
    get(writer, "/by_code/create")
    assert writer.post("/by_code/create", data={"code": "", "note": "", "at": "", "save": "Save"}).status_code == 200
    what = "SELECT note, code, at FROM by_code WHERE id = (SELECT max(id) FROM by_code)"
    [(note, code, at)] = postgres.execute(what, database)
    assert (note, code, str(at)) == ("none", None, "2026-01-02 03:04:05.678901+00:00")  # defaults of the database
    [(number,)] = postgres.execute("SELECT max(id) FROM by_code", database)
    form = get(writer, f"/by_code/edit/{number}")
    shown = re.search(r'name="at"[^>]*value="([^"]*)"', form)
    assert shown
    changed = {"note": "changed", "code": "", "at": shown[1], "save": "Save"}
    assert writer.post(f"/by_code/edit/{number}", data=changed).status_code == 200
    assert postgres.execute(what, database) == [("changed", None, at)]  # what was not touched is the same to the bit
    assert writer.delete("/by_code/delete", params={"pks": str(number)}).status_code == 200
    assert postgres.execute("SELECT count(*) FROM by_code WHERE note = 'changed'", database) == [(0,)]


def test_only_the_row_that_is_meant_is_deleted(postgres: Postgres, database: str, writer: TestClient) -> None:
    postgres.execute("CREATE TABLE texts (id text PRIMARY KEY); GRANT ALL ON texts TO writer", database)
    postgres.execute("INSERT INTO texts VALUES ('a'), ('b'), ('a,b')", database)
    with studio(postgres, database, "writer", True) as client:
        [address] = [address for address in links(get(client, "/texts/list"), "Open row") if "~2C" in address]
        found = re.search(r'data-url="([^"]*)"', get(client, address))
        assert found
        assert client.delete(found[1].replace("&amp;", "&")).status_code == 200
    assert postgres.execute("SELECT id FROM texts ORDER BY id", database) == [("a",), ("b",)]
    postgres.execute("DROP TABLE texts", database)


@pytest.mark.parametrize("table", ["_prisma_migrations", "keyless", "seen", "kept"])
def test_what_is_never_written(writer: TestClient, table: str) -> None:
    get(writer, f"/{table}/create", 403)


@pytest.mark.parametrize("table", [LINES, "own_schema_child"])
def test_the_forms_of_odd_tables_open(writer: TestClient, table: str) -> None:
    get(writer, f"/{table}/create")
    for address in links(get(writer, f"/{table}/list"), "Open row"):
        get(writer, address.replace("/details/", "/edit/"))


# The program


def test_a_port_that_is_taken_is_told() -> None:
    with listen(0) as taken, pytest.raises(SlipwayError, match=r"^Port \d+ of 127\.0\.0\.1 is taken: give another one"):
        listen(taken.getsockname()[1])
    with pytest.raises(SlipwayError, match=r"^There is no port 70000: give one from 1 to 65535 by -e port=…, or none"):
        listen(70000)


def test_a_time_that_is_none_is_told() -> None:
    session = Session("shop-test", "read-only", Server("u", "d"), options={"port": 0, "minutes": 0})
    with pytest.raises(SlipwayError, match=r"^The studio can't run for 0 minutes: give at least one by -e"):
        run(session)


def test_it_ends_when_its_time_is_over() -> None:
    started = time.monotonic()

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError

    ended: list[bool] = []
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: ended.append(serve(app, listener, 0.5)))
    thread.start()
    thread.join(60)
    assert ended == [True]
    assert time.monotonic() - started >= 0.5


def test_a_database_that_does_not_answer_is_told(postgres: Postgres) -> None:
    with pytest.raises(SlipwayError, match=r"^The studio can't connect: .*password authentication failed"):
        connect({"host": str(postgres.socket_dir), "user": "nobody", "password": "x", "dbname": "postgres"})
