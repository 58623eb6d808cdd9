-- Remove failed entries past their retention: too old, or too many (F4). At most 1,000 at once.
-- p_added: how many this transaction has kept and not counted yet.
CREATE OR REPLACE FUNCTION expire_failed(
    p_queue integer, p_now bigint, p_count bigint, p_retention_ms bigint, p_added bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_oldest bigint;
    v_kept bigint;
    v_n bigint := 0;
BEGIN
    SELECT f.failed_at INTO v_oldest FROM failed f WHERE f.queue_id = p_queue ORDER BY f.entry LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT coalesce(sum(c.kept), 0) + p_added INTO v_kept FROM counter c WHERE c.queue_id = p_queue AND c.group_id = 0;
    IF v_oldest > p_now - p_retention_ms AND v_kept <= p_count THEN
        RETURN 0;
    END IF;
    WITH old AS (
        SELECT f.entry, f.failed_at, row_number() OVER (ORDER BY f.entry) AS position
        FROM (
            SELECT k.entry, k.failed_at FROM failed k WHERE k.queue_id = p_queue
            ORDER BY k.entry LIMIT 1000 FOR UPDATE SKIP LOCKED
        ) f
    )
    DELETE FROM failed f USING old o
    WHERE f.entry = o.entry AND (o.failed_at <= p_now - p_retention_ms OR o.position <= v_kept - p_count);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;
