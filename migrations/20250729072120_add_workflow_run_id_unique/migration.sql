-- SPDX-License-Identifier: GPL-3.0-or-later
-- A workflow run is one build. A re-run in GitHub keeps its number, so two builds may already claim the same one:
-- the newest keeps it, the older ones stay as builds without a run.

UPDATE builds AS older
SET workflow_run_id = NULL
WHERE EXISTS (
    SELECT 1
    FROM builds AS newer
    WHERE newer.workflow_run_id = older.workflow_run_id
      AND (newer.created_at, newer.id) > (older.created_at, older.id)
);

ALTER TABLE builds ADD CONSTRAINT builds_workflow_run_id_key UNIQUE (workflow_run_id);
