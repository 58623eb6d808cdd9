-- Count an exchange. 1: epoch, 2: group, 3: its number, 4: JSON array of the keys that it refused.
UPDATE member
SET exchanges = ?3, refused = ?4
WHERE epoch = ?1 AND grp = ?2;
