-- Never edit this file once it is released: add the next one.

-- Whose turn it is.
ALTER TABLE jobs ADD COLUMN prepared INTEGER NOT NULL DEFAULT 0 CHECK (prepared IN (0, 1)); -- only the caption is left
ALTER TABLE jobs ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0 CHECK (suspect IN (0, 1));   -- was in work when the process ended
ALTER TABLE jobs ADD COLUMN spent_ms INTEGER NOT NULL DEFAULT 0 CHECK (spent_ms >= 0);      -- by earlier holders, on what is kept
ALTER TABLE jobs ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;                              -- nobody claims it earlier
ALTER TABLE jobs ADD COLUMN put_off_ms INTEGER NOT NULL DEFAULT 0 CHECK (put_off_ms >= 0);  -- for how long in all

UPDATE jobs SET prepared = 1 WHERE EXISTS (
    SELECT 1 FROM stages WHERE stages.image_seq = jobs.image_seq AND stage = 'thumbnails' AND error_code IS NULL);
-- Which of these attempts ended with the process is not known.
UPDATE jobs SET suspect = 1 WHERE state = 'queued' AND attempts > 0;

DROP INDEX jobs_queued;
CREATE INDEX jobs_queued ON jobs (again, prepared, image_seq) WHERE state = 'queued';
CREATE INDEX jobs_put_off ON jobs (due_at) WHERE due_at > 0;
