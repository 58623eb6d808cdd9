-- The claims of one exchange in starting order, as parallel arrays; payloads as in claim.sql.
CREATE OR REPLACE FUNCTION claims(
    p_queue integer, p_epoch bigint, p_group integer, p_exchange bigint,
    OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[], OUT o_priorities integer[],
    OUT o_enqueued bigint[], OUT o_attempts integer[], OUT o_stalls integer[], OUT o_metadata bytea[],
    OUT o_formats smallint[]
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT
        array_agg(c.key), array_agg(c.id), array_agg(CASE WHEN c.before < answer_bytes() THEN c.data END),
        array_agg(c.priority), array_agg(c.enqueued_at), array_agg(c.attempts), array_agg(c.stalls),
        array_agg(CASE WHEN c.before < answer_bytes() THEN c.metadata END), array_agg(c.format)
    INTO o_keys, o_ids, o_data, o_priorities, o_enqueued, o_attempts, o_stalls, o_metadata, o_formats
    FROM (
        SELECT
            d.key, d.attempts, d.stalls, j.id, j.data, j.priority, j.enqueued_at, j.metadata, j.format,
            sum(octet_length(j.data) + octet_length(j.metadata)) OVER (ORDER BY d.place)
                - octet_length(j.data) - octet_length(j.metadata) AS before
        FROM delivery d JOIN job j ON j.queue_id = p_queue AND j.key = d.key
        WHERE d.state = 1 AND d.epoch = p_epoch AND d.group_id = p_group
          AND d.exchange = p_exchange AND NOT d.lapsed
        ORDER BY d.place
    ) c;
END $$;
