-- What is ready in a group, by key. 1: group, 2: above this key, 3: how many.
SELECT key
FROM ready
WHERE grp = ?1 AND key > ?2
ORDER BY key
LIMIT ?3;
