"""A release of an earlier version foretells no amounts: it serves as before, and an order by revenue says what stood in."""

from __future__ import annotations

from mercato.gateway.v1 import product_pb2, recommendation_pb2

from tests.e2e.conftest import Running
from tests.e2e.marked_shop import IDS, A, serving, stored
from tests.e2e.shop import Shop, until


async def test_the_price_stands_in_for_amounts_that_a_release_does_not_foretell(running: Running, shop: Shop) -> None:
    async with stored(running, shop) as marks:
        await until(serving(shop, next(iter(marks))))
        dear = product_pb2.Product(
            product_id=IDS[-1], title="A dear thing", price={"units": 90, "currency_code": "USD"}
        )  # type: ignore[arg-type]
        cheap = product_pb2.Product(
            product_id=IDS[1], title="A cheap thing", price={"units": 2, "currency_code": "USD"}
        )  # type: ignore[arg-type]
        await shop.import_products([dear, cheap])

        async def by_price() -> bool:
            answer = await shop.recommend("user-1", page_size=12, revenue_weight=1.0)
            stages = {stage.stage: stage.cause for stage in answer.missing_stages}
            assert stages.keys() == {recommendation_pb2.STAGE_EXPECTED_AMOUNT}, answer.missing_stages
            return answer.results[0].product.product_id == dear.product_id

        await until(by_price)
        plain = await shop.recommend("user-1", page_size=12)
        assert not plain.missing_stages
        assert abs(plain.results[0].score - A.score) < 1e-3
