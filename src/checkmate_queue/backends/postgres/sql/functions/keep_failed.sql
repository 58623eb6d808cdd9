-- Keep a delivery that has used its tries as a failed entry (F4).
CREATE OR REPLACE FUNCTION keep_failed(
    p_queue integer, p_now bigint, p_group integer, p_key bigint, p_attempt boolean,
    p_type bytea, p_message bytea, p_traceback bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO failed (
        key, failed_at, enqueued_at, queue_id, priority, attempts, format, drop_unclaimed,
        group_name, id, schedule, data, metadata, error_type, message, traceback
    )
    SELECT
        j.key, p_now, j.enqueued_at, p_queue, j.priority, d.attempts + p_attempt::integer, j.format,
        j.drop_unclaimed, g.name, j.id, j.schedule, j.data, j.metadata, p_type, p_message, p_traceback
    FROM job j
    JOIN delivery d ON d.key = j.key AND d.group_id = p_group
    JOIN consumer_group g ON g.id = p_group
    WHERE j.queue_id = p_queue AND j.key = p_key;
END $$;
