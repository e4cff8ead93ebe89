-- The checksum of what no index repeats, by which `panopticon doctor` finds bytes that the disk has changed; NULL
-- in rows of an older release. A later script that changes such a column sets the checksum to NULL.
ALTER TABLE outputs ADD COLUMN checksum INTEGER;

ALTER TABLE failures ADD COLUMN checksum INTEGER;

ALTER TABLE catalogue ADD COLUMN checksum INTEGER;

ALTER TABLE folder_list ADD COLUMN checksum INTEGER;

ALTER TABLE registry ADD COLUMN checksum INTEGER;

ALTER TABLE backfills ADD COLUMN checksum INTEGER;

ALTER TABLE bodies ADD COLUMN checksum INTEGER;

ALTER TABLE messages ADD COLUMN checksum INTEGER;

-- A process of an older release, which was running before this script, changes rows without their checksum.
CREATE TRIGGER outputs_checksum AFTER UPDATE ON outputs
WHEN new.checksum = old.checksum
AND (new.revision, new.produced_at_ms, new.payload)
    IS NOT (old.revision, old.produced_at_ms, old.payload)
BEGIN
    UPDATE outputs SET checksum = NULL WHERE rowid = new.rowid;
END;

CREATE TRIGGER failures_checksum AFTER UPDATE ON failures
WHEN new.checksum = old.checksum
AND (new.state, new.reason, new.detail, new.attempts, new.last_at_ms, new.day, new.message, new.retry_at_ms)
    IS NOT (old.state, old.reason, old.detail, old.attempts, old.last_at_ms, old.day, old.message, old.retry_at_ms)
BEGIN
    UPDATE failures SET checksum = NULL WHERE rowid = new.rowid;
END;

CREATE TRIGGER catalogue_checksum AFTER UPDATE ON catalogue
WHEN new.checksum = old.checksum
AND (new.revision, new.image_uri, new.event, new.occurred_at_ms, new.located_at_ms)
    IS NOT (old.revision, old.image_uri, old.event, old.occurred_at_ms, old.located_at_ms)
BEGIN
    UPDATE catalogue SET checksum = NULL WHERE image_id = new.image_id;
END;

CREATE TRIGGER folder_list_checksum AFTER UPDATE ON folder_list
WHEN new.checksum = old.checksum
AND (new.image_id, new.seen_at_ms, new.payload)
    IS NOT (old.image_id, old.seen_at_ms, old.payload)
BEGIN
    UPDATE folder_list SET checksum = NULL WHERE root = new.root AND path = new.path AND image_id = new.image_id;
END;

CREATE TRIGGER registry_checksum AFTER UPDATE ON registry
WHEN new.checksum = old.checksum
AND (new.serial, new.entry)
    IS NOT (old.serial, old.entry)
BEGIN
    UPDATE registry SET checksum = NULL WHERE model = new.model;
END;

CREATE TRIGGER backfills_checksum AFTER UPDATE ON backfills
WHEN new.checksum = old.checksum
AND (new.serial, new.entry)
    IS NOT (old.serial, old.entry)
BEGIN
    UPDATE backfills SET checksum = NULL WHERE name = new.name;
END;
