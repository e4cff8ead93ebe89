CREATE TABLE backfills (
    name TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,
    entry TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE archive (
    sha256 TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- Which parts a document has: a part may say nothing, and then has no posting.
CREATE TABLE parts (
    document INTEGER NOT NULL,
    part TEXT NOT NULL,
    policy_number INTEGER NOT NULL,
    PRIMARY KEY (document, part)
) STRICT, WITHOUT ROWID;

CREATE INDEX parts_by_policy ON parts (part, policy_number, document);

INSERT INTO parts (document, part, policy_number)
SELECT document, parts.key, json_extract(parts.value, '$.policy_number')
FROM bodies, json_each(CAST(bodies.body AS TEXT), '$.parts') AS parts;
