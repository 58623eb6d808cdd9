-- The lapsed claims that an epoch holds in any group, at most 1,000, as parallel arrays.
CREATE OR REPLACE FUNCTION lapsed_claims(
    p_queue integer, p_epoch bigint,
    OUT o_groups text[], OUT o_max_stalls integer[],
    OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[], OUT o_priorities integer[],
    OUT o_enqueued bigint[], OUT o_attempts integer[], OUT o_stalls integer[], OUT o_metadata bytea[],
    OUT o_formats smallint[]
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT
        array_agg(c.name), array_agg(c.max_stalls), array_agg(c.key), array_agg(c.id), array_agg(c.data),
        array_agg(c.priority), array_agg(c.enqueued_at), array_agg(c.attempts), array_agg(c.stalls),
        array_agg(c.metadata), array_agg(c.format)
    INTO
        o_groups, o_max_stalls,
        o_keys, o_ids, o_data, o_priorities, o_enqueued, o_attempts, o_stalls, o_metadata, o_formats
    FROM (
        SELECT
            g.name, g.max_stalls, d.key, d.attempts, d.stalls,
            j.id, j.data, j.priority, j.enqueued_at, j.metadata, j.format
        FROM delivery d
        JOIN consumer_group g ON g.id = d.group_id AND NOT g.dropped
        JOIN job j ON j.queue_id = p_queue AND j.key = d.key
        WHERE d.lapsed AND d.epoch = p_epoch
        ORDER BY d.place LIMIT 1000
    ) c;
END $$;
