"""Addresses as gRPC targets."""

import pytest

from shared.client.target import target_of


@pytest.mark.parametrize(
    ("address", "target", "replicated"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051", False),
        ("catalog:50051", "catalog:50051", False),
        ("dns:///catalog-headless:50051", "dns:///catalog-headless:50051", True),
        ("10.0.0.1:5, 10.0.0.2:5", "ipv4:10.0.0.1:5,10.0.0.2:5", True),
        ("[::1]:5,[::2]:5", "ipv6:[::1]:5,[::2]:5", True),
        ("ipv4:10.0.0.1:5", "ipv4:10.0.0.1:5", False),
    ],
)
def test_targets(address: str, target: str, replicated: bool) -> None:
    assert target_of(address) == (target, replicated)


@pytest.mark.parametrize("address", ["a:1,b:2", "10.0.0.1:5,[::1]:5"])
def test_what_is_no_list_of_addresses_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="addresses"):
        target_of(address)
