import pytest
from mercato.encoder.v1 import encoder_service_pb2 as encoder_pb2

from shared.errors.base import InvalidArgument
from shared.validation.validator import validate, violations_of


def test_a_valid_message_has_no_violations() -> None:
    assert violations_of(encoder_pb2.EncodeTextsRequest(texts=["a"])) == []
    validate(encoder_pb2.EncodeTextsRequest(texts=["a"]))


def test_all_violations_come_with_their_paths() -> None:
    request = encoder_pb2.CompareProductsRequest(
        pairs=[
            encoder_pb2.ProductPair(
                first=encoder_pb2.ProductText(product_id="p", title="t"),
                second=encoder_pb2.ProductText(title="t", brand="b" * 201),
            ),
            encoder_pb2.ProductPair(),
        ]
    )
    found = {violation.field: violation.rule for violation in violations_of(request)}
    assert found == {
        "pairs[0].second.product_id": "string.min_len",
        "pairs[0].second.brand": "string.max_len",
        "pairs[1].first": "required",
        "pairs[1].second": "required",
    }


def test_a_prefix_comes_first() -> None:
    violations = violations_of(encoder_pb2.ProductText(title="t"), "products[7]")
    assert [violation.field for violation in violations] == ["products[7].product_id"]


def test_validate_raises_them_together() -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate(encoder_pb2.EncodeTextsRequest(texts=["", "a", ""]))
    assert [violation.field for violation in caught.value.violations] == ["texts[0]", "texts[2]"]
