ALTER TABLE builds ADD COLUMN status text NOT NULL DEFAULT 'new';
