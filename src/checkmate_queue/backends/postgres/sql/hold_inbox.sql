-- Hold a queue's inbox against its fence until the end of the transaction. Runs on connections of callers, whatever
-- their driver: each parameter stands once, in order. Touches nothing where it leads to another place.
-- $1: the queue's number, $2: the database, $3: the server's start, $4: the inbox.
-- Returns: whether this is the place, whether its inbox may be written, and whether it is held (false: a fence is
-- on its way).
SELECT h.here, h.allowed, CASE
    WHEN h.allowed THEN pg_try_advisory_xact_lock_shared(h.inbox, $1::integer)
END AS held
FROM (
    SELECT p.inbox::integer AS inbox, p.here, CASE
        WHEN p.here THEN
            has_schema_privilege(p.namespace, 'USAGE') AND has_table_privilege(p.inbox, 'INSERT')
            AND current_setting('transaction_read_only') = 'off'
        ELSE false
    END AS allowed
    FROM (
        SELECT
            c.oid AS inbox, c.relnamespace AS namespace,
            coalesce(
                c.relname = 'inbox' AND d.oid = $2::oid
                AND extract(epoch FROM pg_postmaster_start_time())::text = $3::text,
                false
            ) AS here
        FROM pg_database d LEFT JOIN pg_class c ON c.oid = $4::oid WHERE d.datname = current_database()
    ) p
) h
