-- SPDX-License-Identifier: GPL-3.0-or-later
-- GitHub has passed run number 2147483647. This rewrites the table and its indexes, and keeps existing numbers.

ALTER TABLE builds ALTER COLUMN workflow_run_id TYPE bigint;
