-- SPDX-License-Identifier: GPL-3.0-or-later
-- The workflow run that a scheduled test last started, which leads to its build. It is no foreign key: the run starts
-- first, and its build is reported later or never. For earlier runs it is unknown and stays NULL.

ALTER TABLE scheduled_tests ADD COLUMN workflow_run_id bigint;
ALTER TABLE scheduled_tests ADD CONSTRAINT scheduled_tests_workflow_run_id_key UNIQUE (workflow_run_id);
