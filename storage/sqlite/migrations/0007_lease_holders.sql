-- When the lease or the retry delay began, by the clock of who began it: if that is in the future, the clock
-- was set back, and the end of the wait means nothing.
ALTER TABLE messages ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;

-- The process that has the lease, as `workers/runtime/holder.py` names it; empty for a lease of an older release.
ALTER TABLE messages ADD COLUMN holder TEXT NOT NULL DEFAULT '';

DROP INDEX messages_waiting;

CREATE INDEX messages_waiting ON messages (queue, available_at_ms, leased, since_ms) WHERE available_at_ms > 0;
