-- Register a sleeper. 1: queue, 2: address.
INSERT INTO sleeper (queue, address)
VALUES (?1, ?2)
ON CONFLICT DO NOTHING;
