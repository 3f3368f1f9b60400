"""PostgreSQL: the connection pool, migrations and named queries."""
