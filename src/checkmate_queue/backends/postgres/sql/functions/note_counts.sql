-- Add to the counters of a slot.
--
-- The last thing a transaction does before it commits: rows are locked in the order of their groups, and
-- nothing is waited for after them.
CREATE OR REPLACE FUNCTION note_counts(p_queue integer, p_slot integer, p_tallies tally[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_tallies) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO counter AS c (
        queue_id, group_id, slot, ready, delayed, unclaimed, processing,
        completed, failed, expired, cancelled, kept
    )
    SELECT
        p_queue, t.group_id, p_slot,
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'ready'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'delayed'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'unclaimed'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'processing'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'completed'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'failed'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'expired'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'cancelled'), 0),
        coalesce(sum(t.n) FILTER (WHERE t.kind = 'kept'), 0)
    FROM unnest(p_tallies) t GROUP BY t.group_id ORDER BY t.group_id
    ON CONFLICT (queue_id, group_id, slot) DO UPDATE SET
        ready = c.ready + excluded.ready,
        delayed = c.delayed + excluded.delayed,
        unclaimed = c.unclaimed + excluded.unclaimed,
        processing = c.processing + excluded.processing,
        completed = c.completed + excluded.completed,
        failed = c.failed + excluded.failed,
        expired = c.expired + excluded.expired,
        cancelled = c.cancelled + excluded.cancelled,
        kept = c.kept + excluded.kept;
    IF EXISTS (SELECT FROM unnest(p_tallies) t WHERE t.kind = 'ready' AND t.n > 0) THEN
        PERFORM wake(p_queue);
    END IF;
END $$;
