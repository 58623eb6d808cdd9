-- Tables whose dead rows are worth a VACUUM, of those that this role may vacuum. $1: the schema.
-- As what is live is read, too, so much must be dead that the cost for each dead row stays the same.
SELECT format('%I.%I', s.schemaname, s.relname) AS name, s.n_dead_tup AS dead
FROM pg_stat_all_tables s JOIN pg_class c ON c.oid = s.relid
WHERE s.schemaname = $1
  AND s.relname IN ('job', 'delivery', 'share', 'member', 'counter', 'inbox')
  AND s.n_dead_tup > 10000 + s.n_live_tup / 2
  AND pg_has_role(c.relowner, 'USAGE')
ORDER BY s.relname
