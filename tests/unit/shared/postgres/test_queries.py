import pytest

from shared.postgres.queries import parse_queries

TEXT = """
-- What this file is for.
-- name: insert_product
-- Why it is so.
INSERT INTO products VALUES (%(id)s);

-- name: one
SELECT 1
"""


def test_blocks_by_name() -> None:
    queries = parse_queries(TEXT, "t")
    assert list(queries) == ["insert_product", "one"]
    assert queries.one == queries["one"] == "SELECT 1"
    assert queries.insert_product.endswith("VALUES (%(id)s);")


def test_an_unknown_name_says_where_it_was_looked_for() -> None:
    with pytest.raises(AttributeError, match="no query 'two' in t"):
        _ = parse_queries(TEXT, "t").two


@pytest.mark.parametrize("text", ["-- name: a\nx\n-- name: a\ny", "-- name: A-b\nx", "-- name: a\n\n-- name: b\ny"])
def test_bad_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^t: "):
        parse_queries(text, "t")
