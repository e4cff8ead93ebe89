ALTER TABLE catalogue ADD COLUMN located_at_ms INTEGER NOT NULL DEFAULT 0;

CREATE TABLE folder_roots (
    root BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The image is part of the key: a photo may be where another one was before.
CREATE TABLE folder_list (
    root BLOB NOT NULL,
    path BLOB NOT NULL,
    image_id TEXT NOT NULL,
    seen_at_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (root, path, image_id)
) STRICT, WITHOUT ROWID;
