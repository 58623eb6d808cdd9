-- Claim the first deliveries of a group that are ready; what others are claiming just now is passed over.
-- Returns the claims in starting order, as parallel arrays (NULL where there are none); payloads beyond the first 4 MiB
-- are NULL: see payloads.sql. Two statements, since the planner takes the LIMIT for a tenth of the table, and would
-- join to that many.
CREATE OR REPLACE FUNCTION claim(
    p_queue integer, p_now bigint, p_epoch bigint, p_group integer, p_exchange bigint, p_want integer,
    OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[], OUT o_priorities integer[],
    OUT o_enqueued bigint[], OUT o_attempts integer[], OUT o_stalls integer[], OUT o_metadata bytea[],
    OUT o_formats smallint[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
    v_numbers bigint[];
BEGIN
    SELECT array_agg(n.key), array_agg(n.number) INTO v_keys, v_numbers FROM (
        SELECT p.key, nextval('number') AS number FROM (
            SELECT d.key FROM delivery d
            WHERE d.group_id = p_group AND d.state = 0 AND (d.expires_at IS NULL OR d.expires_at > p_now)
            ORDER BY d.priority DESC, d.place LIMIT p_want FOR UPDATE SKIP LOCKED
        ) p
    ) n;
    IF v_keys IS NULL THEN
        RETURN;
    END IF;
    WITH claimed AS (
        UPDATE delivery d SET
            state = 1, place = n.number, epoch = p_epoch, exchange = p_exchange, started = true, expires_at = NULL
        FROM unnest(v_keys, v_numbers) n(key, number) WHERE d.key = n.key AND d.group_id = p_group
        RETURNING d.key, d.place, d.attempts, d.stalls
    )
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
        FROM claimed d JOIN job j ON j.queue_id = p_queue AND j.key = d.key ORDER BY d.place
    ) c;
END $$;
