-- A process no longer sleeps. 1: its address.
DELETE FROM sleeper
WHERE address = ?1;
