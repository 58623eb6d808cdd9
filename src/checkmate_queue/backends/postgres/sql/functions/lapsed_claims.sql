-- The lapsed claims that an epoch holds in any group, at most 1,000 and about 4 MiB of payload, as parallel arrays;
-- o_more: there are more.
CREATE OR REPLACE FUNCTION lapsed_claims(
    p_queue integer, p_epoch bigint,
    OUT o_groups text[], OUT o_max_stalls integer[],
    OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[], OUT o_priorities integer[],
    OUT o_enqueued bigint[], OUT o_attempts integer[], OUT o_stalls integer[], OUT o_metadata bytea[],
    OUT o_formats smallint[], OUT o_more boolean
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT
        array_agg(c.name), array_agg(c.max_stalls), array_agg(c.key), array_agg(c.id), array_agg(c.data),
        array_agg(c.priority), array_agg(c.enqueued_at), array_agg(c.attempts), array_agg(c.stalls),
        array_agg(c.metadata), array_agg(c.format), count(*) >= 1000 OR count(*) < coalesce(max(c.found), 0)
    INTO
        o_groups, o_max_stalls,
        o_keys, o_ids, o_data, o_priorities, o_enqueued, o_attempts, o_stalls, o_metadata, o_formats,
        o_more
    FROM (
        SELECT
            g.name, g.max_stalls, d.key, d.attempts, d.stalls,
            j.id, j.data, j.priority, j.enqueued_at, j.metadata, j.format, count(*) OVER () AS found,
            sum(octet_length(j.data) + octet_length(j.metadata)) OVER (ORDER BY d.place)
                - octet_length(j.data) - octet_length(j.metadata) AS before
        FROM (
            SELECT h.key, h.group_id, h.place, h.attempts, h.stalls
            FROM delivery h JOIN consumer_group k ON k.id = h.group_id AND NOT k.dropped
            WHERE h.lapsed AND h.epoch = p_epoch ORDER BY h.place LIMIT 1000
        ) d
        JOIN consumer_group g ON g.id = d.group_id
        JOIN job j ON j.queue_id = p_queue AND j.key = d.key
        ORDER BY d.place
    ) c WHERE c.before < answer_bytes();
END $$;
