-- Never edit this file once it is released: add the next one.

-- A claimed image is its worker's until the lease ends.
CREATE TABLE leased_jobs (
    image_seq   INTEGER PRIMARY KEY REFERENCES images (seq) ON DELETE CASCADE,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'running')),
    attempts    INTEGER NOT NULL CHECK (attempts >= 0),     -- claims that were not released
    claims      INTEGER NOT NULL CHECK (claims >= attempts),-- all claims: tells one holder from the next
    worker      TEXT,                                       -- who holds it, for people
    lease_until INTEGER,                                    -- milliseconds since 1970, UTC
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
) STRICT;

INSERT INTO leased_jobs
SELECT image_seq, state, attempts, attempts,
       CASE state WHEN 'running' THEN 'unknown' END,
       CASE state WHEN 'running' THEN 0 END
FROM jobs;
DROP TABLE jobs;
ALTER TABLE leased_jobs RENAME TO jobs;

CREATE INDEX jobs_queued ON jobs (image_seq) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';

-- Each holder writes files of its own, so that one who has lost the lease cannot touch those of the result.
ALTER TABLE thumbnails ADD COLUMN file TEXT NOT NULL DEFAULT '';   -- the name in the image's folder
UPDATE thumbnails SET file = position || '.jpg';
