-- 'Pano' in ASCII: tells this program's files from another's.
PRAGMA application_id = 0x50616E6F;

CREATE TABLE outputs (
    image_id TEXT NOT NULL,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    produced_at_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (image_id, model, version, revision)
) STRICT;

CREATE TABLE failures (
    image_id TEXT NOT NULL,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,
    day TEXT NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (image_id, model, version, revision)
) STRICT;

CREATE INDEX failures_by_day ON failures (model, version, day, state, last_at_ms, image_id, revision);

CREATE TABLE catalogue (
    image_id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    image_uri TEXT NOT NULL,
    event TEXT NOT NULL,
    occurred_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE registry (
    model TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,
    entry TEXT NOT NULL
) STRICT, WITHOUT ROWID;
