# SPDX-License-Identifier: GPL-3.0-or-later
"""The next migration is derived through Ansible, from the migrations and from the database."""

from __future__ import annotations

import pytest
from support.migrations import Ansible

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_wanted


def databases(ansible: Ansible) -> list[tuple[object, ...]]:
    return ansible.postgres.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", parameters=[
        f"{ansible.database}@_%".replace("@", "\\")])  # fmt: skip


def test_a_change(ansible: Ansible) -> None:
    wanted = ansible.home / "schema.sql"
    wanted.write_text("CREATE TABLE a (id int PRIMARY KEY, note text NOT NULL);\n")
    derived = {"directory": str(ansible.home), "source": {}}

    first = ansible.run("schema_change", "--check", **derived)
    assert first["statements"] == [
        "CREATE TABLE public.a (\n    id integer NOT NULL,\n    note text NOT NULL,\n"
        "    CONSTRAINT a_pkey PRIMARY KEY (id)\n)"
    ]
    assert (first["down"], first["left"], first["remarks"]) == (["DROP TABLE public.a"], [], [])
    assert (first["changed"], first["source"]) == (False, "schema.sql")

    ansible.write("1_a", "CREATE TABLE a (id int PRIMARY KEY);")
    ansible.run("migrations")
    ansible.postgres.execute("INSERT INTO a VALUES (1)", ansible.database)
    found = ansible.run("schema_change", **derived)
    assert found["statements"] == ["ALTER TABLE public.a ADD COLUMN note text NOT NULL"]
    assert found["remarks"][0].startswith("The column public.a.note is NOT NULL without a default")
    assert found["losses"] == []
    wanted.write_text("CREATE TABLE b (id int PRIMARY KEY);\n")
    for base in ("migrations", "database"):
        lossy = ansible.run("schema_change", **derived, base=base)
        assert lossy["losses"] == ["drops the table public.a"]
    assert databases(ansible) == []

    # A pending migration counts: the next one comes after it.
    ansible.write("2_b", "CREATE TABLE b (id int PRIMARY KEY); DROP TABLE a;")
    assert ansible.run("schema_change", **derived)["statements"] == []

    # What is wrong with the database or the history comes first.
    ansible.postgres.execute("CREATE INDEX by_hand ON a (id)", ansible.database)
    drifted = ansible.run("schema_change", **derived)["msg"]
    assert drifted.startswith("The database was changed outside its migrations: index public.by_hand was added by hand")
    ansible.postgres.execute("DROP INDEX by_hand", ansible.database)
    ansible.write("1_a", "CREATE TABLE a (id bigint PRIMARY KEY);")
    assert "The migration '1_a' was edited after it was applied" in ansible.run("schema_change", **derived)["msg"]

    wanted.write_text("CREATE TABEL b;\n")
    said = ansible.run("schema_change", **derived)["msg"]
    assert said.startswith("The wanted schema can't be read: schema.sql:1:8: syntax error")
    assert databases(ansible) == []
