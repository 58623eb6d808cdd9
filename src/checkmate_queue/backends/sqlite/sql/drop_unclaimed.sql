-- End those jobs of a range of keys that nobody wants and that don't wait. 1: first, 2: last.
DELETE FROM job
WHERE key BETWEEN ?1 AND ?2 AND state = 1 AND drop_unclaimed;
