CREATE TABLE documents (
    document INTEGER PRIMARY KEY,
    image_id TEXT NOT NULL UNIQUE,
    deleted INTEGER NOT NULL,
    occurred_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX documents_by_time ON documents (occurred_at_ms DESC, image_id) WHERE deleted = 0;

-- Apart from `documents`, so that a query that visits many rows reads no bodies.
CREATE TABLE bodies (
    document INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- What can be asked for in one part: a folded label, or the name of a score.
CREATE TABLE terms (
    term INTEGER PRIMARY KEY,
    part TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name, part)
) STRICT;

-- The value is the label's highest probability in that part, or the score.
CREATE TABLE postings (
    document INTEGER NOT NULL,
    term INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (document, term)
) STRICT, WITHOUT ROWID;

CREATE INDEX postings_by_term ON postings (term, value, document);
