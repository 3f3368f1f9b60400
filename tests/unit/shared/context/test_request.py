import pytest

from shared.context.request import (
    current_request_id,
    current_tenant,
    is_tenant,
    remaining_seconds,
    use_deadline,
    use_request_id,
    use_tenant,
)


def test_outside_a_request() -> None:
    assert (current_tenant(), current_request_id(), remaining_seconds()) == ("default", "", None)


def test_blocks_set_and_restore() -> None:
    with use_tenant("shop-1"), use_request_id("r"):
        assert (current_tenant(), current_request_id()) == ("shop-1", "r")
    assert (current_tenant(), current_request_id()) == ("default", "")


def test_an_inner_deadline_can_only_be_shorter() -> None:
    with use_deadline(5):
        with use_deadline(100):
            remaining = remaining_seconds()
            assert remaining is not None
            assert remaining <= 5
        with use_deadline(0):
            assert remaining_seconds() == 0
    assert remaining_seconds() is None


@pytest.mark.parametrize("tenant", ["a", "default", "shop_1", "0-x", "a" * 63])
def test_tenants(tenant: str) -> None:
    assert is_tenant(tenant)


@pytest.mark.parametrize("tenant", ["", "A", "-a", "_a", "a b", "a\n", "a" * 64, "ä", "a/b"])
def test_no_tenants(tenant: str) -> None:
    assert not is_tenant(tenant)
    with pytest.raises(ValueError, match="not a tenant"), use_tenant(tenant):
        pass
