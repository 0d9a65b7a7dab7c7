-- The demo's shop. The gateway logs in as shop_app, which owns it and is no superuser.
CREATE TABLE customers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    loyalty_code text
);
COMMENT ON COLUMN customers.loyalty_code IS 'kept for the old loyalty programme';
CREATE TABLE orders (
    id serial PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    placed_on date NOT NULL,
    status text NOT NULL
);
INSERT INTO customers SELECT n, 'Customer ' || n, 'LC-' || 1000 + n FROM generate_series(1, 20) n;
INSERT INTO orders (customer_id, placed_on, status)
    SELECT 1 + n % 20, date '2026-01-01' + n, CASE WHEN n % 3 = 0 THEN 'open' ELSE 'shipped' END
    FROM generate_series(1, 120) n;
