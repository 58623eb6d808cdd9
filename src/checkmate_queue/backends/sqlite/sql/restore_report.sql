-- A moved epoch's report, whose lease is a mark until the store accepts: 1 where it lives. 1: epoch, 2: report,
-- 3: mark.
UPDATE epoch
SET report = ?2, expires_at = ?3
WHERE number = ?1;
