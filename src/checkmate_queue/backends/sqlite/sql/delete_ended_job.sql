-- End a job if it has no open delivery left. 1: key.
DELETE FROM job
WHERE key = ?1 AND holders <= 1;
