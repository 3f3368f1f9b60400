import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mercato.encoder.v1 import encoder_service_pb2
from mercato.gateway.v1 import product_service_pb2

from shared.errors.base import InvalidArgument
from shared.errors.reasons import Reason
from shared.pagination.token import decode_token, encode_token, hash_arguments, page_size

CURSORS = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False),
    max_size=4,
)


@given(CURSORS)
def test_round_trip(cursor: dict[str, object]) -> None:
    assert decode_token(encode_token(cursor, "h"), "h") == cursor  # type: ignore[arg-type]


def test_the_first_page_has_no_cursor() -> None:
    assert decode_token("", "h") == {}


@given(st.text(min_size=1, max_size=60))
def test_malformed_tokens_are_refused_with_their_reason(token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_token(token, "h")
    assert caught.value.reason is Reason.INVALID_PAGE_TOKEN
    assert caught.value.violations[0].field == "page_token"


@pytest.mark.parametrize("document", ["[]", "1", '{"v":1}', '{"v":2,"h":"h","c":{}}', '{"v":1,"h":"h","c":{"a":[]}}'])
def test_other_documents_are_refused(document: str) -> None:
    with pytest.raises(InvalidArgument):
        decode_token(base64.urlsafe_b64encode(document.encode()).decode(), "h")


def test_a_huge_token_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        decode_token(encode_token({"a": "x" * 5000}, "h"), "h")


def test_a_token_for_other_arguments_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="other arguments"):
        decode_token(encode_token({"after": 1}, "one"), "two")


def test_paging_fields_do_not_count_as_arguments() -> None:
    request = product_service_pb2.ListProductsRequest
    assert hash_arguments(request(page_size=1)) == hash_arguments(request(page_size=2, page_token="t"))
    first = encoder_service_pb2.EncodeTextsRequest(texts=["a"])
    assert hash_arguments(first) != hash_arguments(encoder_service_pb2.EncodeTextsRequest(texts=["b"]))
    assert first.texts == ["a"]


@pytest.mark.parametrize(("requested", "size"), [(0, 20), (1, 1), (100, 100), (101, 100), (2**31 - 1, 100)])
def test_page_sizes(requested: int, size: int) -> None:
    assert page_size(requested, default=20, maximum=100) == size


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_size(-1, default=20, maximum=100)
    assert caught.value.violations[0].field == "page_size"
