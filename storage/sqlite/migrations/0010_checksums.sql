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
