-- What the orders of a country and a month add up to. Takes country, month; returns rows, cents.
SELECT count(*), coalesce(sum(cents), 0) FROM orders WHERE country = ? AND month = ?;
