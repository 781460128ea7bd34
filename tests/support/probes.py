# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixteen changes of a schema, by which the trial of two releases is judged: half break the one that serves."""

from __future__ import annotations

SCHEMA = """
CREATE TYPE status AS ENUM ('open', 'held', 'closed');
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference text NOT NULL,
    cents integer NOT NULL,
    status status NOT NULL DEFAULT 'open'
);
CREATE VIEW open_orders AS SELECT id, reference FROM orders WHERE status = 'open';
CREATE TABLE unused (id int);
GRANT SELECT, INSERT, UPDATE ON orders, open_orders TO {role};
"""

# What is changed, and of the release that serves the first request that breaks, with what the database says then.
BREAKING = {
    "dropped column": ("ALTER TABLE orders DROP cents", "GET /totals", 'column "cents" does not exist (42703)'),
    "renamed column": (
        "ALTER TABLE orders RENAME reference TO number",
        'POST /orders', 'column "reference" of relation "orders" does not exist (42703)',
    ),
    "type": (
        "ALTER TABLE orders ALTER cents TYPE bigint",
        "GET /orders", "cached plan must not change result type (0A000)",
    ),
    "not null": (
        "ALTER TABLE orders ADD customer text; UPDATE orders SET customer = 'unknown'; "
        "ALTER TABLE orders ALTER customer SET NOT NULL",
        "POST /orders", 'null value in column "customer" of relation "orders" violates not-null constraint (23502)',
    ),
    "dropped view": ("DROP VIEW open_orders", "GET /open", 'relation "open_orders" does not exist (42P01)'),
    "enum value": (
        "DROP VIEW open_orders; ALTER TYPE status RENAME TO was; CREATE TYPE status AS ENUM ('open', 'closed'); "
        "ALTER TABLE orders ALTER status DROP DEFAULT, ALTER status TYPE status USING status::text::status, "
        "ALTER status SET DEFAULT 'open'; DROP TYPE was; "
        "CREATE VIEW open_orders AS SELECT id, reference FROM orders WHERE status = 'open'; "
        "GRANT SELECT ON open_orders TO {role}",
        "GET /held", 'invalid input value for enum status: "held" (22P02)',
    ),
    "unique": (
        "ALTER TABLE orders ADD CONSTRAINT one_each UNIQUE (cents)",
        "POST /orders", 'duplicate key value violates unique constraint "one_each" (23505)',
    ),
    "revoked": ("REVOKE SELECT ON orders FROM {role}", "GET /totals", "permission denied for table orders (42501)"),
}  # fmt: skip

COMPATIBLE = {
    "new table": "CREATE TABLE customers (id int PRIMARY KEY)",
    "new column": "ALTER TABLE unused ADD note text",
    "column with a default": "ALTER TABLE unused ADD shipped boolean NOT NULL DEFAULT false",
    "index": "CREATE INDEX ON orders (reference)",
    "looser check": "ALTER TABLE orders ADD CHECK (cents > 0) NOT VALID",
    "new enum value": "ALTER TYPE status ADD VALUE 'returned'",
    "new view": "CREATE VIEW held_orders AS SELECT id FROM orders WHERE status = 'held'",
    "dropped, and unused": "DROP TABLE unused",
}
