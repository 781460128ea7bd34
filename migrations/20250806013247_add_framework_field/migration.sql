-- SPDX-License-Identifier: GPL-3.0-or-later
-- Which framework produced a test run. Nobody recorded it for existing runs, so they say 'unknown'. The default stays:
-- the release that is serving while this is applied inserts rows without the column.

CREATE TYPE test_framework AS ENUM ('unknown', 'pytest', 'jest', 'junit', 'playwright', 'cypress');

ALTER TABLE test_runs ADD COLUMN framework test_framework NOT NULL DEFAULT 'unknown';
