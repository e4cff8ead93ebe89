CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    -- 0 while ready; else the end of a lease, or of the wait on a retry delay.
    available_at_ms INTEGER NOT NULL DEFAULT 0,
    leased INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    -- With `number` it names one handing-over, so that a lapsed holder can be told from the present one.
    deliveries INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX messages_ready ON messages (queue, number) WHERE available_at_ms = 0;

CREATE INDEX messages_waiting ON messages (queue, available_at_ms, leased) WHERE available_at_ms > 0;

CREATE TABLE bindings (
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;
