-- The time until which a message waits on a retry delay; such a row is in no day, so its day is empty.
ALTER TABLE failures ADD COLUMN retry_at_ms INTEGER NOT NULL DEFAULT 0;
