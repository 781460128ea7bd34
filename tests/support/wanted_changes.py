# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema in SQL, as SQLAlchemy models and in Prisma's language, and changes of it in each that can say them."""

from __future__ import annotations

from dataclasses import dataclass

SQL = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE teams (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE users (
    id serial PRIMARY KEY,
    email text NOT NULL,
    team_id integer,
    score integer NOT NULL DEFAULT 0,
    mood mood,
    note varchar(20),
    CONSTRAINT users_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT score_check CHECK (score >= 0)
);
CREATE UNIQUE INDEX users_email_key ON users (email);
CREATE INDEX users_score_idx ON users (score);
CREATE INDEX users_rich_idx ON users (email) WHERE score > 100;
-- What neither models nor Prisma can say.
CREATE VIEW members AS SELECT users.id, email, teams.name AS team FROM users JOIN teams ON teams.id = team_id;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON teams FOR EACH ROW EXECUTE FUNCTION touch();
COMMENT ON VIEW members IS 'who is where';
"""
MODELS = """
from sqlalchemy import (BigInteger, CheckConstraint, Column, Computed, DateTime, Enum, ForeignKey, Identity, Index,
                        Integer, MetaData, String, Table, Text, UniqueConstraint, text)
from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN, ExcludeConstraint, JSONB, TSTZRANGE
metadata = MetaData()
mood = Enum("good", "bad", name="mood", metadata=metadata)
teams = Table("teams", metadata, Column("id", Integer, primary_key=True), Column("name", Text, nullable=False))
users = Table(
    "users", metadata,
    Column("id", Integer, primary_key=True),
    Column("email", Text, nullable=False),
    Column("team_id", Integer,
           ForeignKey("teams.id", name="users_team_id_fkey", ondelete="SET NULL", onupdate="CASCADE")),
    Column("score", Integer, nullable=False, server_default=text("0")),
    Column("mood", mood),
    Column("note", String(20)),
    CheckConstraint("score >= 0", name="score_check"),
)
Index("users_email_key", users.c.email, unique=True)
Index("users_score_idx", users.c.score)
Index("users_rich_idx", users.c.email, postgresql_where=text("score > 100"))
"""
PRISMA = """
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
enum mood {
  good
  bad
}
model teams {
  id    Int     @id @default(autoincrement())
  name  String
  users users[]
}
model users {
  id      Int     @id @default(autoincrement())
  email   String  @unique
  team_id Int?
  score   Int     @default(0)
  mood    mood?
  note    String? @db.VarChar(20)
  teams   teams?  @relation(fields: [team_id], references: [id])
  @@index([score])
}
"""
Edits = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Wish:
    """A change by its name, in SQL; as edits of the models and of Prisma's schema; a word of the remark that it has."""

    name: str
    sql: str
    models: Edits = ()
    prisma: Edits = ()
    remark: str = ""


def column(models: str = "", prisma: str = "") -> dict[str, Edits]:
    """Another column at the end of table users."""
    edits: dict[str, Edits] = {}
    if models:
        edits["models"] = (('    Column("note", String(20)),\n', f'    Column("note", String(20)),\n    {models},\n'),)
    if prisma:
        edits["prisma"] = (("  @@index", f"  {prisma}\n  @@index"),)
    return edits


def after(models: str) -> Edits:
    """More at the end of the models."""
    return (('> 100"))\n', f'> 100"))\n{models}\n'),)


NOTE = '    Column("note", String(20)),\n'
NOTE_PRISMA = "  note    String? @db.VarChar(20)\n"
INDEX = 'Index("users_score_idx", users.c.score)\n'

WISHES = [
    Wish("table", "CREATE TABLE orders (id serial PRIMARY KEY, total integer NOT NULL)",
         after('Table("orders", metadata, Column("id", Integer, primary_key=True), Column("total", Integer, '
               'nullable=False))'),
         (("model users", "model orders {\n  id    Int @id @default(autoincrement())\n  total Int\n}\nmodel users"),)),
    Wish("tables that refer to each other", "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int "
                                            "PRIMARY KEY, "
         "a int REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b"),
    Wish("table gone", "DROP VIEW members; ALTER TABLE users DROP team_id; DROP TABLE teams", remark="its data is "
                                                                                                     "lost"),
    Wish("table renamed", "ALTER TABLE teams RENAME TO groups; ALTER SEQUENCE teams_id_seq RENAME TO groups_id_seq; "
         "ALTER INDEX teams_pkey RENAME TO groups_pkey", remark="ALTER TABLE public.teams RENAME TO groups"),
    Wish("column", "ALTER TABLE users ADD nick text", **column('Column("nick", Text)', "nick String?")),
    Wish("column with default", "ALTER TABLE users ADD level integer NOT NULL DEFAULT 1",
         **column('Column("level", Integer, nullable=False, server_default="1")', "level Int @default(1)")),
    Wish("column without default", "ALTER TABLE users ADD level integer NOT NULL", remark="NOT NULL without a default",
         **column('Column("level", Integer, nullable=False)', "level Int")),
    Wish("column with a time", "ALTER TABLE users ADD at timestamptz NOT NULL DEFAULT now()",
         **column('Column("at", DateTime(timezone=True), nullable=False, server_default=text("now()"))')),
    Wish("column gone", "ALTER TABLE users DROP note", ((NOTE, ""),), ((NOTE_PRISMA, ""),), "its data is lost"),
    Wish("column renamed", "ALTER TABLE users RENAME note TO remark", (('"note"', '"remark"'),),
         (("  note    String", "  remark  String"),), "ALTER TABLE public.users RENAME COLUMN note TO remark"),
    Wish("default", "ALTER TABLE users ALTER score SET DEFAULT 5", (('text("0")', 'text("5")'),),
         (("@default(0)", "@default(5)"),)),
    Wish("default gone", "ALTER TABLE users ALTER score DROP DEFAULT", ((', server_default=text("0")', ""),),
         ((" @default(0)", ""),)),
    Wish("not null", "ALTER TABLE users ALTER note SET NOT NULL", (("String(20))", "String(20), nullable=False)"),),
         (("String? @db", "String @db"),), "becomes NOT NULL"),
    Wish("nullable", "ALTER TABLE users ALTER email DROP NOT NULL", (('"email", Text, nullable=False', '"email", '
                                                                                                       'Text'),),
         (("String  @unique", "String? @unique"),)),
    Wish("wider type", "ALTER TABLE users ALTER note TYPE varchar(40)", (("String(20)", "String(40)"),),
         (("VarChar(20)", "VarChar(40)"),)),
    Wish("integer to bigint", "ALTER TABLE users ALTER score TYPE bigint", (('"score", Integer', '"score", '
                                                                                                 'BigInteger'),),
         (("score   Int ", "score   BigInt "),)),
    Wish("text to number", "ALTER TABLE users ALTER note TYPE integer USING "
                           "note::integer", (("String(20)", "Integer"),),
         (("String? @db.VarChar(20)", "Int?"),), "every row is cast"),
    Wish("type under a view", "DROP VIEW members; ALTER TABLE teams ALTER name TYPE varchar(50); CREATE VIEW members "
                              "AS SELECT "
         "users.id, email, teams.name AS team FROM users JOIN teams ON teams.id = team_id; "
         "COMMENT ON VIEW members IS 'who is where'", (('"name", Text', '"name", String(50)'),),
         (("  name  String\n", "  name  String  @db.VarChar(50)\n"),)),
    Wish("generated column", "ALTER TABLE users ADD twice integer GENERATED ALWAYS AS (score * 2) STORED",
         **column('Column("twice", Integer, Computed("score * 2", persisted=True))')),
    Wish("identity column", "ALTER TABLE teams ADD number bigint GENERATED ALWAYS AS IDENTITY",
         (('"name", Text, nullable=False)', '"name", Text, nullable=False), Column("number", BigInteger, '
           'Identity(always=True), nullable=False)'),)),
    Wish("serial to identity", "ALTER TABLE teams ALTER id DROP DEFAULT; DROP SEQUENCE teams_id_seq; "
         "ALTER TABLE teams ALTER id ADD GENERATED BY DEFAULT AS IDENTITY",
         (('teams", metadata, Column("id", Integer, ', 'teams", metadata, Column("id", Integer, Identity(), '),)),
    Wish("array and JSON", "ALTER TABLE users ADD tags text[] NOT NULL DEFAULT '{}', ADD about jsonb",
         **column('Column("tags", ARRAY(Text), nullable=False, server_default="{}"), Column("about", JSONB)')),
    Wish("enum", "CREATE TYPE size AS ENUM ('s', 'l'); ALTER TABLE users ADD size size NOT NULL DEFAULT 's'",
         **column('Column("size", Enum("s", "l", name="size", metadata=metadata), nullable=False, '
                  'server_default="s")')),
    Wish("enum value", "ALTER TYPE mood ADD VALUE 'fair'", (('"good", "bad"', '"good", "bad", "fair"'),),
         (("  bad\n", "  bad\n  fair\n"),)),
    Wish("enum value between", "ALTER TYPE mood ADD VALUE 'fair' BEFORE 'bad'", (('"good", "bad"', '"good", "fair", '
                                                                                                   '"bad"'),),
         (("  bad\n", "  fair\n  bad\n"),)),
    Wish("enum value gone", "ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('good'); ALTER TABLE users "
                            "ALTER mood "
         "TYPE mood USING mood::text::mood; DROP TYPE old", (('"good", "bad"', '"good"'),), (("  bad\n", ""),),
         "this fails where a row has that value"),
    Wish("enum value used at once", "ALTER TYPE mood ADD VALUE 'fair'; COMMIT; ALTER TABLE users ALTER mood SET "
                                    "DEFAULT 'fair'",
         (('"good", "bad"', '"good", "bad", "fair"'), ('"mood", mood', '"mood", mood, server_default="fair"')),
         (("  bad\n", "  bad\n  fair\n"), ("mood?", "mood? @default(fair)"))),
    Wish("domain", "CREATE DOMAIN positive AS integer CONSTRAINT above CHECK (VALUE > 0); ALTER TABLE users ADD age "
                   "positive",
         **column('Column("age", DOMAIN("positive", Integer, constraint_name="above", check="VALUE > 0", '
                  'metadata=metadata))')),
    Wish("foreign key", "ALTER TABLE users ADD boss integer CONSTRAINT users_boss_fkey REFERENCES users (id) "
         "ON DELETE SET NULL ON UPDATE CASCADE",
         **column('Column("boss", Integer, ForeignKey("users.id", name="users_boss_fkey", ondelete="SET NULL", '
                  'onupdate="CASCADE"))',
                  'boss Int?\n  of users? @relation("boss", fields: [boss], references: [id])\n  to users[] '
                  '@relation("boss")')),
    Wish("foreign key otherwise", "ALTER TABLE users DROP CONSTRAINT users_team_id_fkey, ADD CONSTRAINT "
                                  "users_team_id_fkey "
         "FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE ON UPDATE CASCADE",
         (('ondelete="SET NULL"', 'ondelete="CASCADE"'),), (("references: [id])", "references: [id], onDelete: "
                                                                                  "Cascade)"),),
         ),
    Wish("unique constraint", "ALTER TABLE teams ADD CONSTRAINT teams_name_key UNIQUE (name)",
         (('"name", Text, nullable=False)', '"name", Text, nullable=False), UniqueConstraint("name", '
                                            'name="teams_name_key")'),),
         remark="two rows share a value"),
    Wish("unique index", "CREATE UNIQUE INDEX teams_name_key ON teams (name)",
         after('Index("teams_name_key", teams.c.name, unique=True)'), (("  name  String\n", "  name  String "
                                                                                            "@unique\n"),),
         "two rows share a value"),
    Wish("index", "CREATE INDEX users_team_id_idx ON users (team_id, score DESC)",
         after('Index("users_team_id_idx", users.c.team_id, users.c.score.desc())'),
         (("  @@index", "  @@index([team_id, score(sort: Desc)], map: \"users_team_id_idx\")\n  @@index"),)),
    Wish("index gone", "DROP INDEX users_score_idx", ((INDEX, ""),), (("  @@index([score])\n", ""),)),
    Wish("partial index", "CREATE UNIQUE INDEX one_good ON users (team_id) WHERE mood = 'good'",
         after('Index("one_good", users.c.team_id, unique=True, postgresql_where=text("mood = \'good\'"))')),
    Wish("expression index", "CREATE INDEX users_lower_idx ON users (lower(email))",
         after('Index("users_lower_idx", text("lower(email)"), _table=users)')),
    Wish("check", "ALTER TABLE users ADD CONSTRAINT note_check CHECK (note <> '')",
         ((NOTE, NOTE + '    CheckConstraint("note <> \'\'", name="note_check"),\n'),), remark="a row does not meet "
                                                                                               "it"),
    Wish("check otherwise", "ALTER TABLE users DROP CONSTRAINT score_check, ADD CONSTRAINT score_check CHECK (score > "
                            "0)",
         (('"score >= 0"', '"score > 0"'),)),
    Wish("exclusion", "ALTER TABLE users ADD during tstzrange, ADD CONSTRAINT apart EXCLUDE USING gist (during WITH "
                      "&&)",
         ((NOTE, NOTE + '    Column("during", TSTZRANGE),\n'
           '    ExcludeConstraint(("during", "&&"), name="apart"),\n'),)),
    Wish("comment", "COMMENT ON TABLE users IS 'people'; COMMENT ON COLUMN users.email IS 'where to write'",
         (('"email", Text,', '"email", Text, comment="where to write",'),
          ('name="score_check"),\n', 'name="score_check"),\n    comment="people",\n'))),
    Wish("view", "CREATE VIEW rich AS SELECT id FROM users WHERE score > 100"),
    Wish("view with another column", "DROP VIEW members; CREATE VIEW members AS SELECT email FROM users"),
    Wish("materialized view", "CREATE MATERIALIZED VIEW counts AS SELECT team_id, count(*) AS n FROM users GROUP BY 1; "
         "CREATE UNIQUE INDEX counts_idx ON counts (team_id)"),
    Wish("function", "CREATE FUNCTION half(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n / 2'; "
         "CREATE VIEW halves AS SELECT half(score) AS half FROM users"),
    Wish("function that returns another type", "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    Wish("trigger", "CREATE TRIGGER noted AFTER INSERT ON users FOR EACH ROW WHEN (NEW.score > 3) EXECUTE FUNCTION "
                    "touch()"),
    Wish("policy", "ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON users FOR SELECT USING (score > "
                   "0)"),
    Wish("another schema", "CREATE SCHEMA stock; CREATE TABLE stock.goods (id bigint GENERATED ALWAYS AS IDENTITY "
                           "PRIMARY KEY)",
         after('Table("goods", metadata, Column("id", BigInteger, Identity(always=True), primary_key=True), '
               'schema="stock")')),
    Wish("partitions", "CREATE TABLE days (day date NOT NULL, n integer) PARTITION BY RANGE (day); CREATE TABLE "
                       "days_1 PARTITION "
         "OF days FOR VALUES FROM ('2025-01-01') TO ('2025-02-01'); CREATE INDEX days_n ON days (n)"),
    Wish("rights", "GRANT SELECT (email) ON users TO pg_monitor; GRANT SELECT ON members TO PUBLIC"),
    Wish("all at once", "DROP VIEW members; CREATE TABLE tags (id bigint PRIMARY KEY, user_id integer NOT NULL "
                        "REFERENCES users "
         "ON DELETE CASCADE, label text NOT NULL UNIQUE CHECK (label <> '')); ALTER TABLE users DROP note, ADD nick "
         "text UNIQUE; "
         "CREATE VIEW members AS SELECT nick, label FROM users JOIN tags ON user_id = users.id", remark="its data is "
                                                                                                        "lost"),
]  # fmt: skip


def edited(text: str, edits: Edits) -> str:
    """A text in which each edit is made once; one that fits nowhere is a mistake."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
