-- A product that changes again while a worker writes it to the index is not claimed before that worker ends: of two
-- writes at once, by way of two replicas that do not know of each other, the older could come last and stay.
ALTER TABLE catalog.product_changes ADD COLUMN lease_until timestamptz NOT NULL DEFAULT '-infinity';
