-- Take open deliveries off a job. 1: key, 2: how many.
UPDATE job
SET holders = holders - ?2
WHERE key = ?1;
