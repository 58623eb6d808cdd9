-- The orders of a country and a month. Takes country, month; returns the columns of an export.
SELECT order_id, day, customer, product, quantity, cents
FROM orders
WHERE country = ? AND month = ?
ORDER BY order_id;
