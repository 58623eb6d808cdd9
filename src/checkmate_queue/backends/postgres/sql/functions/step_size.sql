-- How many jobs one step may fan out to so many groups: a thousand, and about five thousand deliveries.
CREATE OR REPLACE FUNCTION step_size(p_groups integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(1, least(1000, most_deliveries() / greatest(1, p_groups)))
$$;
