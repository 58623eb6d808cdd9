-- Adds an order. Takes the columns of `orders` in order; returns nothing.
INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?);
