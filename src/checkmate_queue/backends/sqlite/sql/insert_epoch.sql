-- Begin an epoch. 1: queue, 2: worker, 3: lease, 4: when it runs out. Returns its number.
INSERT INTO epoch (queue, worker, lease_ms, expires_at)
VALUES (?1, ?2, ?3, ?4)
RETURNING number;
