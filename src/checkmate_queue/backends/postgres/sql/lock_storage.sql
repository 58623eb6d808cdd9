-- One process at a time makes or migrates a storage. $1: the schema.
SELECT pg_advisory_xact_lock(hashtextextended('checkmate_queue ' || $1, 0))
