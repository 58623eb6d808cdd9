-- Makes the shop's database. Takes nothing, returns nothing; a script.
PRAGMA journal_mode = WAL;
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY,
    country TEXT NOT NULL,
    month TEXT NOT NULL,
    day TEXT NOT NULL,
    customer TEXT NOT NULL,
    product TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    cents INTEGER NOT NULL
);
CREATE INDEX orders_by_month ON orders (country, month);
CREATE TABLE permissions (
    user TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    change INTEGER NOT NULL
);
