-- SPDX-License-Identifier: GPL-3.0-or-later
-- The age of a token decides when its team is asked to replace it. For tokens stored until now it is unknown: they
-- count as old as their team, so that one is asked for too early rather than never.

ALTER TABLE github_tokens ADD COLUMN created_at timestamptz;

UPDATE github_tokens
SET created_at = teams.created_at
FROM teams
WHERE teams.id = github_tokens.team_id;

ALTER TABLE github_tokens
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN created_at SET NOT NULL;
