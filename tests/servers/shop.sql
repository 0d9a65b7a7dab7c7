-- A small shop: what the tests' sessions read, change and try to destroy.
CREATE TABLE customers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    phone text,
    card_number text
);
CREATE TABLE products (
    id integer PRIMARY KEY,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    picture bytea
);
CREATE TABLE orders (
    id serial PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    placed_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'open',
    note text,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE order_lines (
    order_id integer NOT NULL REFERENCES orders,
    line integer NOT NULL,
    product_id integer NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, line)
);
CREATE VIEW order_totals AS
    SELECT l.order_id, sum(l.quantity * p.price) AS total
    FROM order_lines l JOIN products p ON p.id = l.product_id GROUP BY l.order_id;
CREATE FUNCTION price_with_tax(price numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT price * 1.2';
CREATE FUNCTION close_order(which integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET status = 'closed' WHERE id = which;
END $$;

INSERT INTO customers
    SELECT n, 'Customer ' || n, 'customer' || n || '@example.com', '+4930' || 1000000 + n, '4111111111' || 100000 + n
    FROM generate_series(1, 100) n;
INSERT INTO products SELECT n, 'Product ' || n, n * 1.25, decode(md5(n::text), 'hex') FROM generate_series(1, 50) n;
INSERT INTO orders (customer_id, placed_at, status, note)
    SELECT 1 + n % 100, timestamptz '2026-01-01' + n * interval '1 hour', CASE WHEN n % 3 = 0 THEN 'closed' ELSE 'open' END,
           CASE WHEN n % 7 = 0 THEN 'ring twice' END
    FROM generate_series(1, 500) n;
INSERT INTO order_lines SELECT n, line, 1 + (n * line) % 50, 1 + line
    FROM generate_series(1, 500) n, generate_series(1, 3) line;
