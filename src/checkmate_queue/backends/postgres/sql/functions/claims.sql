-- The claims of one exchange in starting order, as parallel arrays; p_exchange NULL: the lapsed claims that
-- the epoch holds in any group, at most 1,000.
CREATE OR REPLACE FUNCTION claims(
    p_queue integer, p_epoch bigint, p_group integer, p_exchange bigint,
    OUT o_groups integer[], OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[], OUT o_priorities integer[],
    OUT o_enqueued bigint[], OUT o_attempts integer[], OUT o_stalls integer[], OUT o_metadata bytea[],
    OUT o_formats smallint[]
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT
        array_agg(c.group_id), array_agg(c.key), array_agg(j.id), array_agg(j.data), array_agg(c.priority),
        array_agg(j.enqueued_at), array_agg(c.attempts), array_agg(c.stalls), array_agg(j.metadata),
        array_agg(j.format)
    INTO
        o_groups, o_keys, o_ids, o_data, o_priorities, o_enqueued, o_attempts, o_stalls, o_metadata, o_formats
    FROM (
        SELECT d.group_id, d.key, d.priority, d.attempts, d.stalls FROM delivery d
        WHERE d.state = 1 AND d.epoch = p_epoch AND CASE
            WHEN p_exchange IS NULL THEN d.lapsed
            ELSE d.group_id = p_group AND d.exchange = p_exchange AND NOT d.lapsed
        END
        ORDER BY d.place LIMIT CASE WHEN p_exchange IS NULL THEN 1000 END
    ) c JOIN job j ON j.queue_id = p_queue AND j.key = c.key;
END $$;
