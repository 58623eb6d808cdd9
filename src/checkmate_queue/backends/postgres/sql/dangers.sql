-- What about the server is to be judged; NULL where this role may not see it.
-- oldest: seconds since the oldest transaction of others in this database began that VACUUM must spare.
SELECT
    current_setting('server_version_num')::integer AS version,
    current_setting('server_version') AS version_name,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('autovacuum') AS autovacuum,
    greatest(
        (SELECT max(extract(epoch FROM clock_timestamp() - a.xact_start))
         FROM pg_stat_activity a
         WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
           AND a.backend_type IS DISTINCT FROM 'autovacuum worker' AND coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL),
        (SELECT max(extract(epoch FROM clock_timestamp() - p.prepared))
         FROM pg_prepared_xacts p WHERE p.database = current_database())
    )::double precision AS oldest
