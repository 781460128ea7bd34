# SPDX-License-Identifier: GPL-3.0-or-later
"""What is masked is nowhere in the copy any more, and everything else is as it was."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.masking import Rules, mask
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor

TABLES = """
CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%'); CREATE TYPE named AS (n int, t text);
CREATE TABLE users (id int PRIMARY KEY, email mail UNIQUE NOT NULL, name varchar(12), tags text[], age int,
    lower_name text GENERATED ALWAYS AS (lower(name)) STORED, card named, born date, photo bytea);
INSERT INTO users (id, email, name, tags, age, card, born, photo)
    SELECT g, format('topsecret%s@prod', g), 'Topsecret ' || g % 2, '{topsecret}', 40, '(1,topsecret)', '2000-01-01',
           'topsecret' FROM generate_series(1, 300) g;
CREATE INDEX ON users (lower(name)); UPDATE users SET age = 41; DELETE FROM users WHERE id > 290;
CREATE TABLE accounts (login text PRIMARY KEY);
CREATE TABLE notes (user_id int REFERENCES users, login text REFERENCES accounts DEFERRABLE, note text);
INSERT INTO accounts VALUES ('topsecret'); INSERT INTO notes VALUES (1, 'topsecret', 'kept note');
CREATE TABLE seen (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO seen VALUES (OLD.name); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER quiet BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE users DISABLE TRIGGER quiet;
CREATE RULE aside AS ON UPDATE TO accounts DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW names AS SELECT name FROM users; ANALYZE;
"""
USERS = {
    "email": "'user' || id || '@example.com'", "name": "hash", "tags": "'{}'", "card": None, "photo": None,
}  # fmt: skip
RULES: Rules = {
    "users": USERS, "accounts": {"login": "hash"}, "notes": {"login": "hash", "note": "keep"},
}  # fmt: skip


@pytest.fixture
def copy(postgres: Postgres) -> Iterator[tuple[str, Cursor]]:
    database = postgres.database()
    opened = postgres.connect(database)
    with opened.cursor() as cursor:
        cursor.execute(TABLES)
        yield database, cursor
    opened.close()


def grep(options: str, text: str, files: Path) -> str:
    return subprocess.run(["grep", options, text, str(files)], capture_output=True, text=True, check=False).stdout


def test_nothing_of_before_is_left(postgres: Postgres, copy: tuple[str, Cursor]) -> None:
    database, cursor = copy
    actions = mask(cursor, RULES)
    assert actions == [
        "Masked users (email, name, tags, card, photo; 290 rows); accounts (login; 1 row); notes (login; 1 row), and "
        "rewrote the tables so that their files hold nothing of before.",
        "Kept as in the backup by app_masking: notes.note.",
    ]
    cursor.execute("ANALYZE")
    query = (
        "SELECT count(*), count(DISTINCT email), count(DISTINCT name), min(length(name)), min(age), sum(id) FROM users"
    )
    assert postgres.execute(query, database) == [(290, 290, 2, 12, 41, 42195)]
    assert postgres.execute("SELECT email FROM users WHERE id = 7", database) == [("user7@example.com",)]
    assert postgres.execute("SELECT count(*) FROM notes n JOIN accounts a USING (login)", database) == [(1,)]
    assert postgres.execute("SELECT note FROM notes", database) == [("kept note",)]
    assert postgres.execute("SELECT count(*) FROM seen", database) == [(0,)]  # no trigger has seen it
    assert postgres.execute("SELECT count(*) FROM names WHERE name ~ 'secret'", database) == [(0,)]
    triggers = "SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    assert postgres.execute(triggers, database) == [("note", "O"), ("quiet", "D")]
    assert postgres.execute("SELECT ev_enabled::text FROM pg_rewrite WHERE rulename = 'aside'", database) == [("O",)]
    # Past SQL: the files of the database.
    postgres.execute("CHECKPOINT", database)
    [(oid,)] = postgres.execute(f"SELECT oid FROM pg_database WHERE datname = '{database}'")
    files = Path(postgres.directory) / "data" / "base" / str(oid)
    assert grep("-rliE", "topsecret", files) == ""
    assert "example.com" in grep("-rohaE", "example.com", files)


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ({"users": {**USERS, "email": "'a@b'"}}, "by app_masking makes rows equal that users_email_key wants to be"),
        ({"users": {**USERS, "email": None}}, "Masking users by app_masking makes email NULL, which it may not be"),
        ({"users": {**USERS, "email": "'no mail'"}}, "Masking users by app_masking failed, and nothing was changed: "),
        ({"users": {**USERS, "email": "nonesuch(id)"}}, "rule of users.email in app_masking, (nonesuch(id)), is no"),
        ({"users": {**USERS, "email": "hash"}}, "value for domain mail violates check constraint"),
        ({"accounts": {"login": "hash"}}, "Masking the tables by app_masking failed, and nothing was changed: "),
        ({"users": {"email": "keep"}}, "no rule for 4 columns that may hold text, and nothing was changed: users.name, "
         "users.tags, users.card, users.photo;"),
    ],
)  # fmt: skip
def test_rules_that_fail(copy: tuple[str, Cursor], rules: Rules, error: str) -> None:
    _, cursor = copy
    with pytest.raises(SlipwayError) as raised:
        mask(cursor, rules)
    assert error in str(raised.value)
    assert "nothing was changed" in str(raised.value)
    assert "topsecret" not in str(raised.value)
