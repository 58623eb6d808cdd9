-- Write the one row that an exchange writes besides its deliveries: number, lease and counts; returns the
-- claims that are cancelled. Counts of other groups among the tallies go to the slot.
CREATE OR REPLACE FUNCTION note_exchange(
    p_queue integer, p_slot integer, p_epoch bigint, p_group integer, p_exchange bigint, p_refused bigint[],
    p_expires bigint, p_claimed bigint, p_completed bigint, p_cancelled bigint, p_tallies tally[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    v_cancelled bigint[];
BEGIN
    UPDATE member m SET
        exchanges = p_exchange,
        refused = p_refused,
        expires_at = p_expires,
        ready = m.ready - p_claimed,
        processing = m.processing + p_claimed - p_completed - p_cancelled,
        completed = m.completed + p_completed,
        cancelled = m.cancelled + p_cancelled
    WHERE m.epoch = p_epoch AND m.group_id = p_group
    RETURNING ARRAY(
        SELECT d.key FROM delivery d
        WHERE d.epoch = p_epoch AND d.group_id = p_group AND d.cancelled AND NOT d.lapsed ORDER BY d.key
    ) INTO v_cancelled;
    IF cardinality(p_tallies) = 0 THEN
        RETURN v_cancelled;
    END IF;
    UPDATE member m SET
        ready = m.ready + t.ready,
        delayed = m.delayed + t.delayed,
        processing = m.processing + t.processing,
        completed = m.completed + t.completed,
        failed = m.failed + t.failed,
        expired = m.expired + t.expired,
        cancelled = m.cancelled + t.cancelled
    FROM (
        SELECT
            coalesce(sum(u.n) FILTER (WHERE u.kind = 'ready'), 0) AS ready,
            coalesce(sum(u.n) FILTER (WHERE u.kind = 'delayed'), 0) AS delayed,
            coalesce(sum(u.n) FILTER (WHERE u.kind = 'processing'), 0) AS processing,
            coalesce(sum(u.n) FILTER (WHERE u.kind = 'completed'), 0) AS completed,
            coalesce(sum(u.n) FILTER (WHERE u.kind = 'failed'), 0) AS failed,
            coalesce(sum(u.n) FILTER (WHERE u.kind = 'expired'), 0) AS expired,
            coalesce(sum(u.n) FILTER (WHERE u.kind = 'cancelled'), 0) AS cancelled
        FROM unnest(p_tallies) u WHERE u.group_id = p_group
    ) t
    WHERE m.epoch = p_epoch AND m.group_id = p_group;
    IF EXISTS (SELECT FROM unnest(p_tallies) t WHERE t.kind = 'ready' AND t.n > 0) THEN
        PERFORM wake(p_queue);
    END IF;
    PERFORM note_counts(
        p_queue, p_slot, ARRAY(SELECT u FROM unnest(p_tallies) u WHERE u.group_id <> p_group)
    );
    RETURN v_cancelled;
END $$;
