-- Keep what a worker reports. 1: epoch, 2: report.
UPDATE epoch
SET report = ?2
WHERE number = ?1;
