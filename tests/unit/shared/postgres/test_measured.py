"""Names of statements and kinds of failures."""

from __future__ import annotations

import psycopg

from shared.postgres.measured import kind_of, name_of
from shared.postgres.queries import parse_queries


def test_a_statement_of_a_file_is_called_by_its_name() -> None:
    queries = parse_queries("-- name: read_person\nSELECT 1", "test")
    assert name_of(queries.read_person) == "read_person"
    assert name_of("SELECT 1") == "other"
    assert queries.read_person == "SELECT 1"


def test_failures_are_of_few_kinds() -> None:
    assert kind_of(psycopg.errors.DeadlockDetected()) == "conflict"
    assert kind_of(psycopg.errors.UniqueViolation()) == "rejected"
    assert kind_of(psycopg.OperationalError("gone")) == "unavailable"
