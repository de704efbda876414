-- Never edit this file once it is released: add the next one.

CREATE TABLE images (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,   -- order of arrival, never used twice: cursors hold it
    id            TEXT    NOT NULL UNIQUE,             -- the public UUID, also the file name of the original
    original_name TEXT    NOT NULL,                    -- as sent; never part of a path
    size_bytes    INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256        BLOB    NOT NULL CHECK (length(sha256) = 32),
    created_at    INTEGER NOT NULL,                    -- times are milliseconds since 1970, UTC
    state         TEXT    NOT NULL CHECK (state IN ('processing', 'success', 'failed')),
    processed_at  INTEGER,
    took_ms       INTEGER CHECK (took_ms >= 0),        -- null where it is not known
    metadata      TEXT,                                -- JSON, so that a new field needs no migration
    caption       TEXT,
    caption_model TEXT,
    caption_error TEXT,
    error_code    TEXT,
    error_message TEXT,
    CHECK ((state = 'processing') = (processed_at IS NULL)),
    CHECK ((state = 'success') = (metadata IS NOT NULL)),
    CHECK ((state = 'failed') = (error_code IS NOT NULL AND error_message IS NOT NULL)),
    CHECK ((caption IS NULL) = (caption_model IS NULL))
) STRICT;

-- The statistics are answered from this index alone.
CREATE INDEX images_by_state ON images (state, took_ms);

CREATE TABLE thumbnails (
    image_seq  INTEGER NOT NULL REFERENCES images (seq) ON DELETE CASCADE,
    position   INTEGER NOT NULL CHECK (position >= 0), -- the order they were made in, also the file name
    name       TEXT    NOT NULL,
    width      INTEGER NOT NULL CHECK (width > 0),
    height     INTEGER NOT NULL CHECK (height > 0),
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    PRIMARY KEY (image_seq, position),
    UNIQUE (image_seq, name)
) STRICT, WITHOUT ROWID;

-- A row for each image still in work; it goes when the image has its result.
CREATE TABLE jobs (
    image_seq INTEGER PRIMARY KEY REFERENCES images (seq) ON DELETE CASCADE,
    state     TEXT    NOT NULL CHECK (state IN ('queued', 'running')),
    attempts  INTEGER NOT NULL CHECK (attempts >= 0)   -- claims that were not released
) STRICT;

CREATE INDEX jobs_queued ON jobs (image_seq) WHERE state = 'queued';
