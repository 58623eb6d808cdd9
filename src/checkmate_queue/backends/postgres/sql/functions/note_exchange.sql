-- Write the one row that an exchange writes besides its deliveries: number, lease and counts.
CREATE OR REPLACE FUNCTION note_exchange(
    p_epoch bigint, p_group integer, p_exchange bigint, p_refused bigint[], p_expires bigint, p_tallies tally[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE member m SET
        exchanges = p_exchange,
        refused = p_refused,
        expires_at = p_expires,
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
END $$;
