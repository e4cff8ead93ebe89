CREATE TABLE heartbeats (
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (host, pid)
) STRICT, WITHOUT ROWID;
