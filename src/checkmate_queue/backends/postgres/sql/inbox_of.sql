-- Where a queue's inbox is: what tells it from those of other databases and servers. $1: the queue's name.
SELECT
    (SELECT id FROM /* schema. */queue WHERE name = $1) AS queue,
    (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
    extract(epoch FROM pg_postmaster_start_time())::text AS started,
    '/* schema. */inbox'::regclass::oid AS inbox,
    current_database()::text AS name,
    /* schema. */channel() AS channel
