-- Claim the first deliveries of a group that are ready; what others are claiming just now is passed over.
CREATE OR REPLACE FUNCTION claim(
    p_now bigint, p_epoch bigint, p_group integer, p_exchange bigint, p_want integer
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_n bigint;
BEGIN
    WITH picked AS MATERIALIZED (
        SELECT d.key, d.priority, d.place FROM delivery d
        WHERE d.group_id = p_group AND d.state = 0 AND (d.expires_at IS NULL OR d.expires_at > p_now)
        ORDER BY d.priority DESC, d.place LIMIT p_want FOR UPDATE SKIP LOCKED
    ), numbered AS (
        SELECT o.key, nextval('number') AS claim
        FROM (SELECT * FROM picked ORDER BY picked.priority DESC, picked.place) o
    )
    UPDATE delivery d SET
        state = 1, place = n.claim, epoch = p_epoch, exchange = p_exchange, started = true, expires_at = NULL
    FROM numbered n WHERE d.key = n.key AND d.group_id = p_group;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;
