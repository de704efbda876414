-- Never edit this file once it is released: add the next one.

-- What others have still to be told: a row for each receiver of each end of work. It goes when it is delivered.
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver   TEXT    NOT NULL,                       -- a name that the owner of the store gave
    message_id TEXT    NOT NULL,                       -- the same for all receivers of one end
    image_id   TEXT    NOT NULL,                       -- no REFERENCES: the end is told though the image is deleted
    success    INTEGER NOT NULL CHECK (success IN (0, 1)),
    ended_at   INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- those that failed
    due_at     INTEGER NOT NULL
) STRICT;

CREATE INDEX outbox_by_turn ON outbox (receiver, due_at);
