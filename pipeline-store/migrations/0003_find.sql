-- Never edit this file once it is released: add the next one.

-- Every caption that an image ever had. `images.caption_seq` names the one that holds.
CREATE TABLE captions (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,  -- order in which they were written
    image_seq      INTEGER NOT NULL REFERENCES images (seq) ON DELETE CASCADE,
    text           TEXT    NOT NULL,
    source         TEXT    NOT NULL CHECK (source IN ('model', 'human')),
    model          TEXT,
    weights_sha256 TEXT,                               -- null where it is not known
    settings       TEXT,                               -- JSON; null where there are none
    score          REAL,
    warning        TEXT,                               -- a code: what is odd about the text
    created_at     INTEGER NOT NULL,
    CHECK ((source = 'model') = (model IS NOT NULL))
) STRICT;

CREATE INDEX captions_by_image ON captions (image_seq, source);

INSERT INTO captions (image_seq, text, source, model, created_at)
SELECT seq, caption, 'model', caption_model, processed_at FROM images WHERE caption IS NOT NULL ORDER BY seq;

-- Made anew, since a CHECK cannot be altered: metadata may be there before the result and after a failure. The links of
-- other tables name this one by its name, and are not followed while it is replaced.
CREATE TABLE new_images (
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
    caption_seq   INTEGER,                             -- no REFERENCES: each deletion would have to look for it
    caption_error TEXT,
    error_code    TEXT,
    error_message TEXT,
    claims        INTEGER NOT NULL DEFAULT 0 CHECK (claims >= 0), -- of its last job: no two holders have the same number
    -- What is searched for. A row whose JSON is damaged can still be written, and be mended.
    format        TEXT GENERATED ALWAYS AS (
        CASE WHEN json_valid(metadata) THEN CAST(metadata ->> '$.format' AS TEXT) END) VIRTUAL,
    camera        TEXT GENERATED ALWAYS AS (
        CASE WHEN json_valid(metadata) THEN nullif(trim(
            coalesce(metadata ->> '$.exif.make', '') || ' ' || coalesce(metadata ->> '$.exif.model', '')), '') END) VIRTUAL,
    perceptual_hash TEXT GENERATED ALWAYS AS (
        CASE WHEN json_valid(metadata) THEN CAST(metadata ->> '$.fingerprint.perceptual_hash' AS TEXT) END) VIRTUAL,
    CHECK ((state = 'processing') = (processed_at IS NULL)),
    CHECK (state != 'success' OR metadata IS NOT NULL),
    CHECK ((state = 'failed') = (error_code IS NOT NULL AND error_message IS NOT NULL))
) STRICT;

INSERT INTO new_images (seq, id, original_name, size_bytes, sha256, created_at, state, processed_at, took_ms, metadata,
                        caption_seq, caption_error, error_code, error_message, claims)
SELECT seq, id, original_name, size_bytes, sha256, created_at, state, processed_at, took_ms, metadata,
       (SELECT captions.seq FROM captions WHERE image_seq = images.seq), caption_error, error_code, error_message,
       -- The names of thumbnails begin with the claim that made them.
       coalesce((SELECT max(CAST(file AS INTEGER)) FROM thumbnails WHERE image_seq = images.seq), 0)
FROM images;

DELETE FROM sqlite_sequence WHERE name = 'new_images';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_images', seq FROM sqlite_sequence WHERE name = 'images';
DROP TABLE images;
ALTER TABLE new_images RENAME TO images;

-- The statistics are answered from this index alone.
CREATE INDEX images_by_state ON images (state, took_ms);
CREATE INDEX images_in_state ON images (state);        -- in order of arrival
CREATE INDEX images_by_digest ON images (sha256);
CREATE INDEX images_by_format ON images (format);
CREATE INDEX images_by_camera ON images (camera) WHERE camera IS NOT NULL;
CREATE INDEX images_by_caption ON images (caption_seq);
CREATE INDEX images_by_look ON images (perceptual_hash) WHERE perceptual_hash IS NOT NULL;
CREATE INDEX images_by_size ON images (size_bytes);
CREATE INDEX images_by_arrival ON images (created_at);
CREATE INDEX images_by_end ON images (processed_at, state) WHERE processed_at IS NOT NULL;

-- The words of names and captions; the texts themselves are elsewhere.
CREATE VIRTUAL TABLE image_text USING fts5 (
    name, caption, content = '', contentless_delete = 1, prefix = '1 2 3', tokenize = 'unicode61 remove_diacritics 2'
);

INSERT INTO image_text (rowid, name, caption)
SELECT seq, original_name, (SELECT text FROM captions WHERE captions.seq = caption_seq) FROM images;

CREATE TRIGGER image_text_added AFTER INSERT ON images
BEGIN
    INSERT INTO image_text (rowid, name, caption)
    VALUES (new.seq, new.original_name, (SELECT text FROM captions WHERE seq = new.caption_seq));
END;

CREATE TRIGGER image_text_changed AFTER UPDATE OF original_name, caption_seq ON images
WHEN new.caption_seq IS NOT old.caption_seq OR new.original_name != old.original_name
BEGIN
    UPDATE image_text
    SET name = new.original_name, caption = (SELECT text FROM captions WHERE seq = new.caption_seq)
    WHERE rowid = new.seq;
END;

CREATE TRIGGER image_text_removed AFTER DELETE ON images
BEGIN
    DELETE FROM image_text WHERE rowid = old.seq;
END;

-- A row for each stage that has ended. Those that wait or run follow from the image and its job.
CREATE TABLE stages (
    image_seq   INTEGER NOT NULL REFERENCES images (seq) ON DELETE CASCADE,
    stage       TEXT    NOT NULL CHECK (stage IN ('metadata', 'thumbnails', 'caption')),
    error_code  TEXT,                                  -- null: it succeeded
    duration_ms REAL    CHECK (duration_ms >= 0),      -- null where it is not known
    attempts    INTEGER NOT NULL CHECK (attempts >= 0),
    finished_at INTEGER NOT NULL,
    PRIMARY KEY (image_seq, stage)
) STRICT, WITHOUT ROWID;

INSERT INTO stages (image_seq, stage, error_code, attempts, finished_at)
SELECT seq, 'metadata', NULL, 1, processed_at FROM images WHERE state = 'success'
UNION ALL
SELECT seq, 'thumbnails', NULL, 1, processed_at FROM images WHERE state = 'success'
UNION ALL
SELECT seq, 'caption', CASE WHEN caption_seq IS NULL THEN 'caption-failed' END, 1, processed_at FROM images
WHERE state = 'success' AND (caption_seq IS NOT NULL OR caption_error IS NOT NULL);

-- Work that was asked for again comes after new images, and takes nothing over from others.
ALTER TABLE jobs ADD COLUMN again INTEGER NOT NULL DEFAULT 0 CHECK (again IN (0, 1));
DROP INDEX jobs_queued;
CREATE INDEX jobs_queued ON jobs (again, image_seq) WHERE state = 'queued';

-- Uploads that may be sent a second time.
CREATE TABLE upload_keys (
    key        TEXT    PRIMARY KEY,
    sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
    image_id   TEXT    NOT NULL,                       -- the answer; the image may be gone by now
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX upload_keys_by_age ON upload_keys (created_at);
