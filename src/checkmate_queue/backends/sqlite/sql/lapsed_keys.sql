-- The lapsed claims that an epoch holds. 1: epoch.
SELECT key
FROM claimed
WHERE epoch = ?1 AND flags > 0 AND flags >= 2;
